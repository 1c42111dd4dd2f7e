/** Dialogs: the focus goes in and comes back, Escape closes, the page behind is out of reach. */
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
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

interface ConfirmProps<T> {
  readonly title: string;
  /** What will happen. */
  readonly children: ReactNode;
  /** The button, as in "Delete the subscription". */
  readonly action: string;
  /** What the action's failure is called, as in "delete the subscription". */
  readonly doing: string;
  /** Resolves when it is done; a rejection is shown in the dialog. */
  readonly onConfirm: (signal: AbortSignal) => Promise<T>;
  /** What to announce when it is done. */
  readonly done: string | ((outcome: T) => string);
  readonly onClose: () => void;
  /** Asked to be typed, for what can't be undone. */
  readonly typed?: string;
  readonly danger?: boolean;
  /** For what may take long: it can be asked to stop, by its signal, and resolves with what it came to until then. */
  readonly stoppable?: boolean;
}

/** Asks before it does something. Closes itself when that is done, and not before: what came of it would be lost. */
export function Confirm<T>(props: ConfirmProps<T>) {
  const { title, children, action, doing, onClose, typed, danger = false, stoppable = false } = props;
  const [text, setText] = useState("");
  const { stage, failure, confirm, stop } = useConfirmed(props);
  const busy = stage !== "asking";
  return (
    <Dialog title={title} onClose={onClose} dismissable={!busy}>
      {children}
      {typed === undefined ? null : <Typed wanted={typed} text={text} onChange={setText} />}
      {failure === undefined ? null : <Failure error={failure} doing={doing} />}
      <div className="actions end">
        {busy && stoppable ? (
          <Button busy={stage === "stopping"} onPress={stop}>
            Stop
          </Button>
        ) : (
          <Button isDisabled={busy} onPress={onClose}>
            Cancel
          </Button>
        )}
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

/** The action from its confirmation to its end. */
function useConfirmed<T>({ onConfirm, done, onClose }: Pick<ConfirmProps<T>, "onConfirm" | "done" | "onClose">) {
  const [stage, setStage] = useState<"asking" | "running" | "stopping">("asking");
  const [failure, setFailure] = useState<unknown>();
  const running = useRef(new AbortController());
  const announce = useAnnounce();
  // The way back leads off the page whatever a dialog allows.
  useEffect(() => () => running.current.abort(), []);
  const confirm = () => {
    running.current = new AbortController();
    setStage("running");
    setFailure(undefined);
    onConfirm(running.current.signal).then(
      (outcome) => {
        announce(typeof done === "string" ? done : done(outcome));
        onClose();
      },
      (reason: unknown) => {
        setStage("asking");
        setFailure(reason);
      },
    );
  };
  const stop = () => {
    setStage("stopping");
    running.current.abort();
  };
  return { stage, failure, confirm, stop };
}

interface TypedProps {
  readonly wanted: string;
  readonly text: string;
  readonly onChange: (text: string) => void;
}

function Typed({ wanted, text, onChange }: TypedProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>
        Type <code>{wanted}</code> to go on
      </label>
      <input
        id={id}
        value={text}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => onChange(event.target.value)}
      />
    </div>
  );
}
