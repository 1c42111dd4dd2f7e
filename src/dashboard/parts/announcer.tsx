/** Says what has happened: on the screen for a while, and to screen readers. */
import { createContext, type ReactNode, use, useCallback, useRef, useState } from "react";
import { after } from "../clock.ts";

const SHOWN_MS = 6_000;

const AnnounceContext = createContext<(message: string) => void>(() => {});

/** Returns the function that says a sentence, such as "Copied." or "Paused sub_…". */
export function useAnnounce(): (message: string) => void {
  return use(AnnounceContext);
}

export function Announcer({ children }: { readonly children: ReactNode }) {
  const [message, setMessage] = useState("");
  const cancel = useRef(() => {});
  const announce = useCallback((text: string) => {
    cancel.current();
    setMessage(text);
    cancel.current = after(SHOWN_MS, () => setMessage(""));
  }, []);
  return (
    <AnnounceContext value={announce}>
      {children}
      {/* Marked for React Aria, which hides all else from screen readers while a dialog is open. */}
      <div className="announcer" role="status" data-live-announcer="true">
        {message === "" ? null : <p>{message}</p>}
      </div>
    </AnnounceContext>
  );
}
