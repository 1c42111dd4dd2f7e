/**
 * Code with which a receiver verifies a subscription's webhooks, for its dialect: Standard Webhooks' signature, that of
 * PassKit and PassEntry (hex HMAC-SHA256 of the body), or ethpass's static header. test/snippets.test.ts runs each.
 *
 * Every snippet defines one function and needs nothing but its language. The secret is read from the environment:
 * a secret in the code would be in its history for ever.
 */

export const LANGUAGES = ["Node", "Python", "Go", "Java", "PHP"] as const;

export type Language = (typeof LANGUAGES)[number];

/** How a webhook can be checked. `standard` fits every subscription. */
export type Scheme =
  | { readonly kind: "standard" }
  /** The vendor's own header. */
  | { readonly kind: "body"; readonly header: string }
  | { readonly kind: "authorization" };

export function snippet(language: Language, scheme: Scheme): string {
  switch (scheme.kind) {
    case "standard":
      return STANDARD[language];
    case "body":
      return BODY[language].replaceAll("HEADER", scheme.header);
    case "authorization":
      return AUTHORIZATION[language];
  }
}

const STANDARD: Readonly<Record<Language, string>> = {
  Node: `import { createHmac, timingSafeEqual } from "node:crypto";

const key = Buffer.from(process.env.PASSBUS_SECRET.replace(/^whsec_/, ""), "base64");

// headers: as node:http has them. body: the bytes as they came (a Buffer), not parsed JSON.
export function verify(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const right = createHmac("sha256", key).update(id + "." + timestamp + ".").update(body).digest();
  // One signature for each valid secret: while a secret is being rotated there are two.
  return (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const [version, text = ""] = signature.split(",");
    const given = Buffer.from(text, "base64");
    return version === "v1" && given.length === right.length && timingSafeEqual(given, right);
  });
}
`,
  Python: `import base64
import hashlib
import hmac
import os
import time

KEY = base64.b64decode(os.environ["PASSBUS_SECRET"].removeprefix("whsec_"))


# headers: a mapping with names in lower case. body: the bytes as they came, not parsed JSON.
def verify(headers, body):
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > 300:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    right = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    # One signature for each valid secret: while a secret is being rotated there are two.
    return any(
        hmac.compare_digest("v1," + right, signature)
        for signature in headers.get("webhook-signature", "").split(" ")
    )
`,
  Go: `package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Verify takes the body's bytes as they came, not parsed JSON.
func Verify(headers http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("PASSBUS_SECRET"), "whsec_"))
	if err != nil || len(key) == 0 {
		return false
	}
	id, timestamp := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	right := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	// One signature for each valid secret: while a secret is being rotated there are two.
	for _, signature := range strings.Fields(headers.Get("webhook-signature")) {
		if hmac.Equal([]byte(signature), []byte(right)) {
			return true
		}
	}
	return false
}
`,
  Java: `import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

final class Webhooks {
  private static final byte[] KEY =
      Base64.getDecoder().decode(System.getenv("PASSBUS_SECRET").replaceFirst("^whsec_", ""));

  /** Names of headers in lower case; the body's bytes as they came, not parsed JSON. */
  static boolean verify(Map<String, String> headers, byte[] body) throws Exception {
    String id = headers.getOrDefault("webhook-id", "");
    String timestamp = headers.getOrDefault("webhook-timestamp", "");
    if (!timestamp.matches("\\\\d{1,12}")) return false;
    if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > 300) return false;
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
    mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
    byte[] right = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
    // One signature for each valid secret: while a secret is being rotated there are two.
    for (String signature : headers.getOrDefault("webhook-signature", "").split(" ")) {
      if (MessageDigest.isEqual(signature.getBytes(StandardCharsets.UTF_8), right)) return true;
    }
    return false;
  }
}
`,
  PHP: `<?php
// $headers: names in lower case. $body: the bytes as they came (php://input), not parsed JSON.
function verify(array $headers, string $body): bool {
    $key = base64_decode(preg_replace('/^whsec_/', '', getenv('PASSBUS_SECRET')), true);
    $timestamp = $headers['webhook-timestamp'] ?? '';
    if ($key === false || !ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $signed = ($headers['webhook-id'] ?? '') . '.' . $timestamp . '.' . $body;
    $right = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    // One signature for each valid secret: while a secret is being rotated there are two.
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $signature) {
        if (hash_equals($right, $signature)) {
            return true;
        }
    }
    return false;
}
`,
};

/** The key is the secret's whole text, `whsec_` and all (docs/decisions/signing.md). */
const BODY: Readonly<Record<Language, string>> = {
  Node: `import { createHmac, timingSafeEqual } from "node:crypto";

// headers: as node:http has them. body: the bytes as they came (a Buffer), not parsed JSON.
export function verify(headers, body) {
  // The key is the secret's whole text, whsec_ and all.
  const right = createHmac("sha256", process.env.PASSBUS_SECRET).update(body).digest();
  const given = Buffer.from(headers["HEADER"] ?? "", "hex");
  return given.length === right.length && timingSafeEqual(given, right);
}
`,
  Python: `import hashlib
import hmac
import os

# The key is the secret's whole text, whsec_ and all.
KEY = os.environ["PASSBUS_SECRET"].encode()


# headers: a mapping with names in lower case. body: the bytes as they came, not parsed JSON.
def verify(headers, body):
    right = hmac.new(KEY, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right, headers.get("HEADER", ""))
`,
  Go: `package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
)

// Verify takes the body's bytes as they came, not parsed JSON.
func Verify(headers http.Header, body []byte) bool {
	// The key is the secret's whole text, whsec_ and all.
	mac := hmac.New(sha256.New, []byte(os.Getenv("PASSBUS_SECRET")))
	mac.Write(body)
	given, err := hex.DecodeString(headers.Get("HEADER"))
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}
`,
  Java: `import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

final class Webhooks {
  /** Names of headers in lower case; the body's bytes as they came, not parsed JSON. */
  static boolean verify(Map<String, String> headers, byte[] body) throws Exception {
    Mac mac = Mac.getInstance("HmacSHA256");
    // The key is the secret's whole text, whsec_ and all.
    mac.init(new SecretKeySpec(System.getenv("PASSBUS_SECRET").getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
    String right = HexFormat.of().formatHex(mac.doFinal(body));
    String given = headers.getOrDefault("HEADER", "");
    return MessageDigest.isEqual(right.getBytes(StandardCharsets.UTF_8), given.getBytes(StandardCharsets.UTF_8));
  }
}
`,
  PHP: `<?php
// $headers: names in lower case. $body: the bytes as they came (php://input), not parsed JSON.
function verify(array $headers, string $body): bool {
    // The key is the secret's whole text, whsec_ and all.
    $right = hash_hmac('sha256', $body, getenv('PASSBUS_SECRET'));
    return hash_equals($right, $headers['HEADER'] ?? '');
}
`,
};

/** No signature: it says who sends, not that the body is whole. */
const AUTHORIZATION: Readonly<Record<Language, string>> = {
  Node: `import { createHash, timingSafeEqual } from "node:crypto";

const digest = (text) => createHash("sha256").update(text).digest();

// Says who sends, not that the body is whole: webhook-signature says both.
export function verify(headers, body) {
  return timingSafeEqual(digest(headers["authorization"] ?? ""), digest(process.env.PASSBUS_AUTHORIZATION));
}
`,
  Python: `import hmac
import os


# Says who sends, not that the body is whole: webhook-signature says both.
def verify(headers, body):
    right = os.environ["PASSBUS_AUTHORIZATION"].encode()
    return hmac.compare_digest(right, headers.get("authorization", "").encode())
`,
  Go: `package webhooks

import (
	"crypto/subtle"
	"net/http"
	"os"
)

// Verify says who sends, not that the body is whole: webhook-signature says both.
func Verify(headers http.Header, body []byte) bool {
	right := []byte(os.Getenv("PASSBUS_AUTHORIZATION"))
	return len(right) > 0 && subtle.ConstantTimeCompare([]byte(headers.Get("authorization")), right) == 1
}
`,
  Java: `import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Map;

final class Webhooks {
  /** Says who sends, not that the body is whole: webhook-signature says both. */
  static boolean verify(Map<String, String> headers, byte[] body) {
    byte[] right = System.getenv("PASSBUS_AUTHORIZATION").getBytes(StandardCharsets.UTF_8);
    return MessageDigest.isEqual(headers.getOrDefault("authorization", "").getBytes(StandardCharsets.UTF_8), right);
  }
}
`,
  PHP: `<?php
// Says who sends, not that the body is whole: webhook-signature says both.
function verify(array $headers, string $body): bool {
    return hash_equals(getenv('PASSBUS_AUTHORIZATION'), $headers['authorization'] ?? '');
}
`,
};
