# The studio for a machine in another room: docs/remote.md.
#   docker build --tag id-lora-studio .
#   docker run --publish 127.0.0.1:8000:8000 --volume studio-data:/data id-lora-studio
FROM node:24-bookworm-slim

# Python and pip bring TensorFlow; the compiler makes its binding; tini ends processes that nobody waits for; Bubblewrap
# runs what a model wrote, where the container may make namespaces.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap ca-certificates g++ python3 python3-pip tini \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 studio \
    && mkdir /app /data /runtime \
    && chown studio:studio /app /data /runtime
USER studio
WORKDIR /app
# What set-up fetches: with a GPU, TensorFlow's CUDA libraries at the first start. A volume keeps them.
ENV ID_LORA_STUDIO_RUNTIME=/runtime

COPY --chown=studio:studio . .
# Packages, Node, TensorFlow for the processor, and the page. Without a connection the build ends here.
RUN node src-main/setup/studio.mjs doctor --json \
    && node --input-type=module --eval "import { ensureOrExit } from './src-main/setup/ensure.mjs'; await ensureOrExit({ page: true });"

VOLUME ["/data", "/runtime"]
EXPOSE 8000
# The token stays the same from start to start; the address stands in the log.
ENTRYPOINT ["tini", "--", "node", "src-main/setup/studio.mjs"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--home", "/data", "--token-file", "/data/token"]
