// The roles of the contract and the rule for usernames. What a role may do on which route is in web/access.ts.

export const ROLES = [
  'pupil',
  'guest',
  'staff',
  'technician',
  'coordinator',
  'headteacher',
  'governor',
] as const;

export type Role = (typeof ROLES)[number];

/** The role that may set the gateway up; a gateway without one offers the setup link. */
export const ADMINISTRATOR: Role = 'technician';

export const isRole = (text: string): text is Role => (ROLES as readonly string[]).includes(text);

export const USERNAME_RULE =
  '2 to 64 characters: letters a to z, digits, and . _ - @ inside; it begins and ends with a letter or digit';

/**
 * A username as it is stored (lower case), or null when it breaks USERNAME_RULE. No colon: proxies send `name:password`
 * joined by one, and `local:` names people at the command line.
 */
export const canonicalUsername = (text: string): string | null => {
  const name = text.toLowerCase();
  return /^[a-z0-9][a-z0-9._@-]{0,62}[a-z0-9]$/.test(name) ? name : null;
};
