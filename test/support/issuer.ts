/** An issuer of tokens: a real HTTP server with a discovery document and a key set, and the private keys to sign with. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { httpServer, type TestServer } from "./receiver.ts";

export interface IssuerKey {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export async function issuerKey(alg: string, kid: string): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

export class TestIssuer implements AsyncDisposable {
  readonly #server: TestServer;
  /** What the key set holds; a test changes it. */
  readonly published: JWK[] = [];
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** Answers instead of the issuer; true where it has. */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

  private constructor(server: TestServer) {
    this.#server = server;
  }

  static async start(): Promise<TestIssuer> {
    let answer: (request: IncomingMessage, response: ServerResponse) => void = () => {};
    const issuer = new TestIssuer(await httpServer((request, response) => answer(request, response)));
    answer = (request, response) => issuer.#answer(request, response);
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  /** A token with these claims over `iss`, `iat` and `exp` (10 minutes from `nowMs`). */
  sign({ privateKey, jwk }: IssuerKey, claims: Readonly<Record<string, unknown>>, nowMs: number): Promise<string> {
    const iat = Math.floor(nowMs / 1_000);
    return new SignJWT({ iss: this.url, iat, exp: iat + 600, ...claims })
      .setProtectedHeader({ alg: jwk.alg ?? "", kid: jwk.kid ?? "" })
      .sign(privateKey);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "";
    this.asked.push(path);
    if (this.instead(request, response)) return;
    response.setHeader("content-type", "application/json");
    if (path === "/.well-known/openid-configuration") {
      response.end(JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys` }));
    } else if (path === "/keys") {
      response.end(JSON.stringify({ keys: this.published }));
    } else {
      response.statusCode = 404;
      response.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}
