import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { hostname, networkInterfaces } from 'node:os';

/** Who may reach a server that listens at a host. */
export interface ServerAccess {
  /** Address with the token, for this computer. */
  url(port: number): string;
  /** The same for others that reach it; none where the server listens at one address alone. */
  otherUrls(port: number): string[];
  /** `Set-Cookie` for a request whose address carries the token; null where it does not. */
  cookieFor(request: IncomingMessage): string | null;
  /** Null where the request may pass, else the status of the refusal. */
  refusal(request: IncomingMessage): 401 | 403 | null;
}

/** Where a server listens, and how it is reached. */
export interface ServedPlace {
  /** An address of this computer; 0.0.0.0 or :: for all. */
  host: string;
  /** 0: one that is free. */
  port: number;
  /** Certificate and private key, PEM. Absent: plain HTTP. */
  tls?: { cert: string; key: string } | undefined;
  /** What browsers ask for, where that is another name than this computer's, or a proxy that ends TLS. */
  publicAddress?: URL | undefined;
  /** 32 hexadecimal digits; absent: new ones. */
  token?: string | undefined;
}

/**
 * Whoever has the token (128 bits, in the printed address) may use the server; it is traded for a cookie at the first
 * visit.
 *
 * A request must name a host that is this computer: a page of the web whose name was rebound to its address cannot. Its
 * port does not matter, as it is another one at the end of a tunnel. A request of a page must come from the page of the
 * very host that it names. The cookie is sent by TLS alone where it was given by TLS.
 */
export function createServerAccess(place: Omit<ServedPlace, 'port'>): ServerAccess {
  const { host, tls, publicAddress } = place;
  const token = place.token ?? randomBytes(16).toString('hex');
  // Cookies do not know ports: those of two studios behind one name must differ.
  const cookieName = `studio_${token.slice(0, 8)}`;
  const cookiePattern = new RegExp(`(?:^|;\\s*)${cookieName}=([0-9a-f]+)`);
  const named = host.includes(':') ? `[${host}]` : host;
  const everywhere = host === '0.0.0.0' || host === '::' ? host : null;
  const isToken = (given: string | null | undefined) =>
    given?.length === token.length && timingSafeEqual(Buffer.from(given), Buffer.from(token));

  const urlOf = (name: string, port: number) => `${tls ? 'https' : 'http'}://${name}:${port}/?token=${token}`;
  const isByTls = (asked: URL) =>
    tls !== undefined || (publicAddress?.protocol === 'https:' && asked.host === publicAddress.host);

  /** Addresses come and go with networks: asked anew each time. */
  const names = () =>
    new Set(
      [
        ...['localhost', '127.0.0.1', '[::1]'],
        ...(publicAddress ? [publicAddress.hostname] : []),
        ...(everywhere ? [hostname(), `${hostname()}.local`, ...ownAddresses(everywhere)] : [named]),
      ].map((name) => name.toLowerCase()),
    );

  return {
    url: (port) =>
      publicAddress
        ? `${publicAddress.origin}/?token=${token}`
        : urlOf(everywhere ? 'localhost' : named, port),
    otherUrls: (port) => (everywhere ? ownAddresses(everywhere) : []).map((name) => urlOf(name, port)),
    cookieFor(request) {
      const given = new URL(request.url ?? '/', 'http://studio').searchParams.get('token');
      const asked = hostOf(request);
      return isToken(given) && asked && names().has(asked.hostname)
        ? `${cookieName}=${token}; HttpOnly; SameSite=Strict; Path=/${isByTls(asked) ? '; Secure' : ''}`
        : null;
    },
    refusal(request) {
      const asked = hostOf(request);
      if (asked === null || !names().has(asked.hostname)) return 403;
      const { origin } = request.headers;
      if (origin !== undefined && URL.parse(origin)?.host !== asked.host) return 403;
      const cookie = cookiePattern.exec(request.headers.cookie ?? '')?.[1];
      const bearer = /^Bearer ([0-9a-f]+)$/.exec(request.headers.authorization ?? '')?.[1];
      return isToken(cookie ?? bearer) ? null : 401;
    },
  };
}

function hostOf({ headers }: IncomingMessage): URL | null {
  return headers.host === undefined ? null : URL.parse(`http://${headers.host}`);
}

/** Those by which other computers may reach this one, IPv4 first, as they stand in an address. */
function ownAddresses(host: '0.0.0.0' | '::'): string[] {
  const outer = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    // Link-local addresses of IPv6 need the name of an interface, which no browser takes.
    .filter(({ internal, scopeid }) => !internal && !scopeid);
  const of = (family: 'IPv4' | 'IPv6') => outer.filter((entry) => entry.family === family);
  const ipv6 = host === '::' ? of('IPv6') : [];
  return [...of('IPv4').map(({ address }) => address), ...ipv6.map(({ address }) => `[${address}]`)];
}
