import { useEffect, useState } from "react";
import { after } from "../clock.ts";

/** The value as it is once it has not changed for `ms`: what is asked of passbus while somebody types. */
export function useDebounced<T>(value: T, ms = 300): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => after(ms, () => setSettled(value)), [value, ms]);
  return settled;
}
