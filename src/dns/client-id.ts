// Client ids: the label by which a device says who it is over DoT (in the server name) and DoH (in the path). A label that
// is none is as if there were no id; what an id stands for is the policy's business.

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** The id in lower case, or null when the text cannot be one: 1 to 63 letters, digits and inner hyphens. */
export function readClientId(text: string): string | null {
  return LABEL.test(text) ? text.toLowerCase() : null;
}

/** The id in the name that a client asks the TLS server for: `<id>.<host>`, and nothing deeper. */
export function clientIdOfServerName(serverName: string | null, host: string | null): string | null {
  if (serverName === null || host === null || serverName.length > 253) return null;
  const dot = serverName.indexOf('.');
  if (dot < 1 || serverName.slice(dot + 1).toLowerCase() !== host) return null;
  return readClientId(serverName.slice(0, dot));
}
