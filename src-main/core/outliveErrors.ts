/** So many errors within the window, and the process is beyond help. */
const mostErrors = 20;
const windowMs = 60_000;

/**
 * The last guard of a process that owns a data folder: an error that nobody caught is logged, and the process goes on,
 * since a training depends on it. That is safe here: what is stored is written in transactions and whole files, and a
 * call that fails answers nobody. Where errors keep coming the process gives up.
 * @param close gives the data folder back before the process ends
 */
export function outliveErrors(close: () => void): void {
  let recent: number[] = [];
  const onError = (error: unknown) => {
    console.error('An error that nobody caught:', error);
    const now = Date.now();
    recent = [...recent.filter((at) => now - at < windowMs), now];
    if (recent.length < mostErrors) return;
    close();
    process.exit(1);
  };
  process.on('uncaughtException', onError);
  process.on('unhandledRejection', onError);
}
