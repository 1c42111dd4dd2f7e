import { chooseTheme, type Theme, useTheme } from "../theme.ts";

const CHOICES: readonly (readonly [Theme, string])[] = [
  ["system", "System"],
  ["light", "Light"],
  ["dark", "Dark"],
];

export function ThemeSwitch() {
  const theme = useTheme();
  return (
    <label className="theme-switch">
      <span className="visually-hidden">Colours</span>
      <select value={theme} onChange={(event) => chooseTheme(CHOICES[event.target.selectedIndex]?.[0] ?? "system")}>
        {CHOICES.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}
