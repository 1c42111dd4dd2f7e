import { Section } from "../../parts/page.tsx";
import { StatsCharts } from "../overview/stats-charts.tsx";

/** What came of its deliveries over time. */
export function DeliveryChart({ subscriptionId }: { readonly subscriptionId: string }) {
  return (
    <Section title="Its deliveries over time">
      <StatsCharts subscriptionId={subscriptionId} />
    </Section>
  );
}
