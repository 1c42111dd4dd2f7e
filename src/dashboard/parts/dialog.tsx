/** Dialogs: the focus goes in and comes back, Escape closes, the page behind is out of reach. */
import { type ReactNode, useId, useState } from "react";
import { Dialog as AriaDialog } from "react-aria-components/Dialog";
import { Heading } from "react-aria-components/Heading";
import { Modal, ModalOverlay } from "react-aria-components/Modal";
import { useAnnounce } from "./announcer.tsx";
import { Button } from "./button.tsx";
import { Failure } from "./failure.tsx";

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  /** False where it must not close by Escape or a click beside it: what it shows can't be shown again. */
  readonly dismissable?: boolean;
  readonly children: ReactNode;
}

/** Open while it is rendered. */
export function Dialog({ title, onClose, dismissable = true, children }: DialogProps) {
  return (
    <ModalOverlay
      isOpen
      isDismissable={dismissable}
      isKeyboardDismissDisabled={!dismissable}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      className="overlay"
    >
      <Modal className="modal">
        <AriaDialog className="dialog stack">
          <Heading slot="title">{title}</Heading>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

interface ConfirmProps {
  readonly title: string;
  /** What will happen. */
  readonly children: ReactNode;
  /** The button, as in "Delete the subscription". */
  readonly action: string;
  /** What the action's failure is called, as in "delete the subscription". */
  readonly doing: string;
  /** Resolves when it is done; a rejection is shown in the dialog. */
  readonly onConfirm: () => Promise<void>;
  /** What to announce when it is done. */
  readonly done: string;
  readonly onClose: () => void;
  /** Asked to be typed, for what can't be undone. */
  readonly typed?: string;
  readonly danger?: boolean;
}

/** Asks before it does something. Closes itself when that is done. */
export function Confirm({
  title,
  children,
  action,
  doing,
  onConfirm,
  done,
  onClose,
  typed,
  danger = false,
}: ConfirmProps) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const announce = useAnnounce();
  const id = useId();
  const confirm = () => {
    setBusy(true);
    setFailure(undefined);
    onConfirm().then(
      () => {
        announce(done);
        onClose();
      },
      (reason: unknown) => {
        setBusy(false);
        setFailure(reason);
      },
    );
  };
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      {typed === undefined ? null : (
        <div className="field">
          <label htmlFor={id}>
            Type <code>{typed}</code> to go on
          </label>
          <input
            id={id}
            value={text}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setText(event.target.value)}
          />
        </div>
      )}
      {failure === undefined ? null : <Failure error={failure} doing={doing} />}
      <div className="actions end">
        <Button onPress={onClose}>Cancel</Button>
        <Button
          kind={danger ? "danger" : "primary"}
          busy={busy}
          isDisabled={typed !== undefined && text.trim() !== typed}
          onPress={confirm}
        >
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
