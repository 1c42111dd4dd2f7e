import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { applyTheme } from "./theme.ts";

// react-aria adds an inline <style> of this id unless one is there, which the content security policy refuses; its one
// rule (touch-action) is in theme.css.
const mark = document.createElement("meta");
mark.id = "react-aria-pressable-style";
document.head.append(mark);

applyTheme();
const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
