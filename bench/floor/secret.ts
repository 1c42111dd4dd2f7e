import { createSecretKey } from "node:crypto";

const bytes = Buffer.alloc(24, 7);

/** Of every endpoint. */
export const SECRET = `whsec_${bytes.toString("base64")}`;
export const SIGNING_KEY = createSecretKey(bytes);
