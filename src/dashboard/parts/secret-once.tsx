import { Button } from "./button.tsx";
import { Copy } from "./copy.tsx";
import { Dialog } from "./dialog.tsx";

interface SecretOnceProps {
  readonly title: string;
  readonly secret: string;
  /** What it is, as in "the signing secret". */
  readonly what: string;
  readonly hint: string;
  readonly onClose: () => void;
}

/** Shows what is shown once. It closes only by its button, so that no stray key or click loses it. */
export function SecretOnce({ title, secret, what, hint, onClose }: SecretOnceProps) {
  return (
    <Dialog title={title} onClose={onClose} dismissable={false}>
      <p>This is {what}. It is shown this once: passbus can’t show it again.</p>
      <p className="secret">
        <code>{secret}</code>
      </p>
      <p className="hint">{hint}</p>
      <div className="actions end">
        <Copy text={secret} what={what} long />
        <Button kind="primary" onPress={onClose}>
          I have kept it
        </Button>
      </div>
    </Dialog>
  );
}
