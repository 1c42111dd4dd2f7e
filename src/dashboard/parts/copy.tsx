import { useAnnounce } from "./announcer.tsx";
import { Button } from "./button.tsx";

interface CopyProps {
  readonly text: string;
  /** What is copied, as in "Copy the secret". */
  readonly what: string;
  /** With it, the button says the whole of it; else "Copy", and the rest to screen readers. */
  readonly long?: boolean;
}

export function Copy({ text, what, long = false }: CopyProps) {
  const announce = useAnnounce();
  const copy = () => {
    copyText(text).then(
      () => announce(`Copied ${what}.`),
      () => announce(`The browser did not let passbus copy ${what}: select it and copy it yourself.`),
    );
  };
  return (
    <Button kind="quiet" onPress={copy} label={`Copy ${what}`}>
      {long ? `Copy ${what}` : "Copy"}
    </Button>
  );
}

/** A browser gives pages no clipboard over plain HTTP, but for localhost's; what it had before goes on working there. */
async function copyText(text: string): Promise<void> {
  if ("clipboard" in navigator && navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  // Beside it: a dialog takes the focus back from whatever is outside.
  (focused?.parentElement ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  if (!isCopied) throw new Error("the browser did not copy");
}

/** A short text to be read off or copied: an id, a URL. */
export function CopyText({ text, what }: { readonly text: string; readonly what: string }) {
  return (
    <span className="copy-text">
      <code>{text}</code> <Copy text={text} what={what} />
    </span>
  );
}
