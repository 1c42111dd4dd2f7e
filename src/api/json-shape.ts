/**
 * What a JSON body may be made of. To parse one costs by the values in it, many times what its bytes cost to send, and
 * all calls wait meanwhile; so what is nested too deep or made of too many is refused while it is read.
 */
import { CodedError, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Reads a text in parts. It need not be JSON: whether it is, the parser says. */
export class JsonShape {
  #depth = 0;
  #values = 1;
  #inText = false;
  #isEscaped = false;

  /** @throws CodedError `limit.request_bytes` or `request.invalid` */
  read(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#inText) this.#within(byte);
      else if (byte === QUOTE) this.#inText = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) this.#open();
      else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) this.#depth -= 1;
      else if (byte === COMMA) this.#count();
    }
  }

  #within(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) this.#inText = false;
  }

  #open(): void {
    this.#depth += 1;
    this.#count();
    if (this.#depth > LIMITS.jsonDepth) {
      throw invalidField("body", `must not be nested deeper than ${LIMITS.jsonDepth}`);
    }
  }

  #count(): void {
    this.#values += 1;
    if (this.#values <= LIMITS.jsonValues) return;
    const message = `the request has more than the ${LIMITS.jsonValues} JSON values that it may have`;
    throw new CodedError("limit.request_bytes", message);
  }
}
