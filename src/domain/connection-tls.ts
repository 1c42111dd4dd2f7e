/** What connections to one endpoint trust and show, opened, in PEM. */
export interface ConnectionTls {
  /** Alike where everything is: only such requests may share a connection. */
  readonly id: string;
  /** Trusted instead of the public authorities. */
  readonly ca?: string;
  readonly client?: { readonly certificates: string; readonly key: string };
}
