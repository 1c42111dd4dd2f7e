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
    navigator.clipboard.writeText(text).then(
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

/** A short text to be read off or copied: an id, a URL. */
export function CopyText({ text, what }: { readonly text: string; readonly what: string }) {
  return (
    <span className="copy-text">
      <code>{text}</code> <Copy text={text} what={what} />
    </span>
  );
}
