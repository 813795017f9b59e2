//! Several registries as one exposition: OpenMetrics wants each family described once, all its samples below.

use super::Metrics;
use std::collections::HashMap;

#[derive(Default)]
struct Family<'a> {
    description: Vec<&'a str>,
    samples: Vec<&'a str>,
}

/// Everything of several servers in Prometheus' text format.
pub fn render_all(all: &[Metrics]) -> String {
    let render = |metrics: &Metrics| {
        metrics.render().unwrap_or_else(|e| {
            log::error!("metrics: {e}");
            String::new()
        })
    };
    merge(&all.iter().map(render).collect::<Vec<_>>())
}

fn merge(texts: &[String]) -> String {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut places = HashMap::new();
    for text in texts {
        let mut current = None;
        let mut is_new = false;
        for line in text.lines().filter(|line| !line.is_empty() && *line != "# EOF") {
            let mut words = line.split(' ');
            let name = match (words.next(), words.next(), words.next()) {
                (Some("#"), Some("HELP" | "TYPE" | "UNIT"), Some(name)) => Some(name),
                _ => None,
            };
            match name {
                // The first line of a description; the others of the same name belong to it.
                Some(name) if current.is_none_or(|(last, _)| last != name) => {
                    let place = *places.entry(name).or_insert(families.len());
                    is_new = place == families.len();
                    if is_new {
                        families.push(Family::default());
                    }
                    current = Some((name, place));
                }
                _ => {}
            }
            let Some(family) = current.and_then(|(_, place)| families.get_mut(place)) else { continue };
            match name {
                Some(_) if is_new => family.description.push(line),
                Some(_) => {}
                None => family.samples.push(line),
            }
        }
    }
    let mut out = String::new();
    for line in families.iter().flat_map(|f| f.description.iter().chain(&f.samples)) {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("# EOF\n");
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::metrics::Reading;
    use std::collections::HashSet;
    use std::time::Duration;

    /// What strict parsers of OpenMetrics insist on.
    fn check(text: &str) {
        let body = text.strip_suffix("# EOF\n").unwrap();
        let (mut described, mut samples, mut family) = (HashSet::new(), HashSet::new(), "");
        for line in body.lines() {
            assert_ne!(line, "# EOF", "in the middle");
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (kind, name) = (words.next().unwrap(), words.next().unwrap());
                assert!(described.insert((kind, name)), "twice: {line}");
                assert!(family == name || !described.contains(&("", name)), "apart: {line}");
                described.insert(("", name));
                family = name;
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(name.starts_with(family), "{line} stands under {family}");
                assert!(samples.insert(line.rsplit_once(' ').unwrap().0), "twice: {line}");
            }
        }
    }

    #[test]
    fn families_of_several_servers_are_described_once() {
        let all = ["one", "two"].map(|name| {
            let metrics = Metrics::new(name);
            metrics.request("/a".into(), "ok".into(), Duration::from_millis(3));
            metrics.read_on_scrape("kith_state", || {
                vec![
                    Reading::gauge("up", "Up", 1),
                    Reading::histogram_of_micros("operation_duration", "Took", &[250, 1_000], &[2, 3, 1], 9_000),
                ]
            });
            metrics
        });
        let text = render_all(&all);
        check(&text);
        for line in [
            "kith_requests_total{service=\"one\",route=\"/a\",outcome=\"ok\"} 1",
            "kith_requests_total{service=\"two\",route=\"/a\",outcome=\"ok\"} 1",
            "kith_state_up{service=\"two\"} 1",
            "# UNIT kith_state_operation_duration_seconds seconds",
            "kith_state_operation_duration_seconds_sum{service=\"one\"} 0.009",
            "kith_state_operation_duration_seconds_count{service=\"one\"} 6",
            "kith_state_operation_duration_seconds_bucket{service=\"one\",le=\"0.001\"} 5",
            "kith_state_operation_duration_seconds_bucket{service=\"two\",le=\"+Inf\"} 6",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
