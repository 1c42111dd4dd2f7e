/** Lines over time: a drawing for the eye, and the same numbers as a table for everyone else. */
import { useEffect, useRef, useState } from "react";
import type UPlot from "uplot";
import type { AlignedData, Options } from "uplot";
import { exactTime } from "../numbers.ts";
import { useTheme } from "../theme.ts";

export interface Series {
  readonly name: string;
  /** A colour of theme.css, as in "--good". */
  readonly color: string;
  /** One for each time; null where there is none. */
  readonly values: readonly (number | null)[];
  /** How a value reads, unit and all. */
  readonly show: (value: number) => string;
  readonly dashed?: boolean;
}

interface ChartProps {
  /** What it shows. */
  readonly title: string;
  /** ms since 1970, ascending. */
  readonly timesMs: readonly number[];
  readonly series: readonly Series[];
}

const DAY_SECONDS = 86_400;
const timeOfDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const HEIGHT_PX = 190;
/** The newest rows alone: who wants to read more has the API. */
const TABLE_ROWS = 60;

export function Chart({ title, timesMs, series }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  const width = useWidth(place);
  const schemeChanges = useSchemeChanges();
  const newest = useRef({ timesMs, series });
  const plot = useRef<UPlot>(undefined);
  // New numbers go into the plot that is there: one made anew would forget where the pointer is.
  useEffect(() => {
    newest.current = { timesMs, series };
    plot.current?.setData(dataOf(timesMs, series));
  }, [timesMs, series]);
  const lines = series.map(({ name }) => name).join("\n");
  const isEmpty = timesMs.length === 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read anew when theme or scheme change.
  useEffect(() => {
    const element = place.current;
    if (element === null || width === 0 || isEmpty) return;
    let isGone = false;
    void import("uplot").then(({ default: Plot }) => {
      if (isGone) return;
      const now = newest.current;
      plot.current = new Plot(optionsOf(element, width, now.series), dataOf(now.timesMs, now.series), element);
    });
    return () => {
      isGone = true;
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [lines, isEmpty, width, theme, schemeChanges]);
  return (
    <figure className="chart-figure">
      <figcaption>{title}</figcaption>
      <div className="chart" ref={place} aria-hidden="true" />
      <details>
        <summary>{title}, as a table</summary>
        <ChartTable title={title} timesMs={timesMs} series={series} />
      </details>
    </figure>
  );
}

function dataOf(timesMs: readonly number[], series: readonly Series[]): AlignedData {
  return [timesMs.map((ms) => ms / 1_000), ...series.map(({ values }) => [...values])];
}

function ChartTable({ title, timesMs, series }: ChartProps) {
  const rows = timesMs.map((ms, at) => ({ ms, at })).slice(-TABLE_ROWS);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard (WCAG 2.1.1).
    <section className="scrolling" aria-label={`${title}, the numbers`} tabIndex={0}>
      <table className="headers">
        <caption className="visually-hidden">{title}</caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            {series.map(({ name }) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.reverse().map(({ ms, at }) => (
            <tr key={ms}>
              <th scope="row">{exactTime(ms)}</th>
              {series.map(({ name, values, show }) => (
                <td key={name}>{shown(values[at] ?? null, show)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function shown(value: number | null, show: Series["show"]): string {
  return value === null ? "–" : show(value);
}

function optionsOf(element: HTMLElement, width: number, series: readonly Series[]): Options {
  const style = getComputedStyle(element);
  const probe = document.createElement("span");
  element.append(probe);
  // A custom property is text: light-dark() becomes a colour only where it is used.
  const color = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const grid = { stroke: color("--line"), width: 1 };
  const timeAxis = (_: unknown, ticks: readonly number[], __: number, ___: number, stepSeconds: number) =>
    ticks.map((seconds) => (stepSeconds < DAY_SECONDS ? timeOfDay : dayOfYear).format(seconds * 1_000));
  const axis = { stroke: color("--soft"), grid, ticks: grid, font: `12px ${style.fontFamily}` };
  const show = series[0]?.show ?? String;
  const options: Options = {
    width,
    height: HEIGHT_PX,
    // As the lines are: two of one colour are told apart by it.
    legend: { markers: { dash: (_, at) => (series[at - 1]?.dashed === true ? "dotted" : "solid") } },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, values: timeAxis },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => show(tick)) },
    ],
    series: [
      { value: (_: unknown, seconds: number | null) => (seconds === null ? "–" : exactTime(seconds * 1_000)) },
      ...series.map(({ name, color: of, show: text, dashed }) => ({
        label: name,
        stroke: color(of),
        width: 2,
        ...(dashed === true && { dash: [6, 4] }),
        // A value between two that are missing is a point and no line.
        points: {
          show: false,
          size: 5,
          fill: color(of),
          filter: (plot: UPlot, at: number) => alone([...(plot.data[at] ?? [])]),
        },
        value: (_: unknown, value: number | null) => shown(value, text),
      })),
    ],
  };
  probe.remove();
  return options;
}

function alone(values: readonly (number | null | undefined)[]): number[] {
  const missing = (at: number) => (values[at] ?? null) === null;
  return values.flatMap((_, at) => (!missing(at) && missing(at - 1) && missing(at + 1) ? [at] : []));
}

function useWidth(place: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element);
    return () => observer.disconnect();
  }, [place]);
  return width;
}

/** Counts up whenever the system goes from light to dark or back. */
function useSchemeChanges(): number {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const query = globalThis.matchMedia("(prefers-color-scheme: dark)");
    const onChange = () => setChanges((count) => count + 1);
    query.addEventListener("change", onChange);
    return () => query.removeEventListener("change", onChange);
  }, []);
  return changes;
}
