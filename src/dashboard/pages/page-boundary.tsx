/** Where a page can't be shown, the layout round it stays, and with it the session. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Component, type ReactNode } from "react";
import { Button } from "../parts/button.tsx";
import { Failure } from "../parts/failure.tsx";
import { Page } from "../parts/page.tsx";
import { forgetFailures, ScriptFailed } from "./page-script.tsx";

interface PageBoundaryProps {
  /** Another one is another page: the failure of the one before is over. */
  readonly path: string;
  readonly children: ReactNode;
}

interface PageBoundaryState {
  readonly failure: { readonly reason: unknown } | undefined;
}

/** A class, since React has no other way to catch what rendering throws. */
export class PageBoundary extends Component<PageBoundaryProps, PageBoundaryState> {
  override state: PageBoundaryState = { failure: undefined };

  static getDerivedStateFromError(reason: unknown): PageBoundaryState {
    return { failure: { reason } };
  }

  override componentDidUpdate({ path }: PageBoundaryProps): void {
    if (path !== this.props.path && this.state.failure !== undefined) this.#tryAgain();
  }

  readonly #tryAgain = () => {
    forgetFailures();
    this.setState({ failure: undefined });
  };

  override render(): ReactNode {
    const { failure } = this.state;
    return failure === undefined ? this.props.children : <Broken reason={failure.reason} onRetry={this.#tryAgain} />;
  }
}

function Broken({ reason, onRetry }: { readonly reason: unknown; readonly onRetry: () => void }) {
  if (reason instanceof ScriptFailed && reason.isGone) {
    return (
      <Page title="passbus was upgraded">
        <div className="failure" role="alert">
          <p>
            <strong>Reload the page.</strong> What this tab has loaded is of another version than the passbus that
            answers. After the reload, sign in again.
          </p>
          <Button onPress={() => globalThis.location.reload()}>Reload</Button>
        </div>
      </Page>
    );
  }
  const isUnloaded = reason instanceof ScriptFailed;
  const error = isUnloaded
    ? new ConnectError("Its script did not come.", Code.Unavailable)
    : new ConnectError(ConnectError.from(reason).rawMessage, Code.Internal);
  return (
    <Page title="Not shown">
      <Failure error={error} doing={isUnloaded ? "load the page" : "show the page"} onRetry={onRetry} />
    </Page>
  );
}
