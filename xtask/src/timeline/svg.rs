//! The time line as SVG: one bar a row, no outside fonts, colours that follow the page's scheme.

use std::fmt::Write;
use std::time::Duration;

use super::Part;
use super::Span;
use super::Timeline;

const WIDTH: f64 = 960.0;
const LABELS: f64 = 96.0;
/// Room right of the last bar for its duration.
const RIGHT: f64 = 96.0;
const TOP: f64 = 64.0;
const ROW: f64 = 30.0;
const BAR: f64 = 18.0;
/// An instant still gets a bar that can be seen.
const LEAST: f64 = 2.0;
/// Average width of a character of the 12-pixel font, for what must fit.
const CHARACTER: f64 = 6.6;

const STYLE: &str = "\
text{font:12px ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#3d444d}\
.title{font-size:15px;font-weight:600;fill:#1f2328}\
.time{font-variant-numeric:tabular-nums}\
.faint{fill:#6e7781}\
.page{fill:#fff;stroke:#d0d7de}\
.grid{stroke:#d0d7de;stroke-opacity:.6}\
.machine{fill:#8c959f}.ramstrap{fill:#1a7f64}.os{fill:#6f5bd0}.failed{fill:#cf3b2e}\
@media(prefers-color-scheme:dark){\
text{fill:#c9d1d9}.title{fill:#f0f6fc}.faint{fill:#9198a1}\
.page{fill:#0d1117;stroke:#3d444d}.grid{stroke:#3d444d}\
.machine{fill:#6e7681}.ramstrap{fill:#2fae8c}.os{fill:#9585ea}.failed{fill:#f06a5c}}";

/// Draws the time line.
pub(super) fn draw(timeline: &Timeline) -> String {
    let scale = Scale::of(timeline.total());
    #[expect(clippy::cast_precision_loss, reason = "a few rows")]
    let bottom = TOP + ROW * timeline.spans.len() as f64;
    let height = bottom + 40.0;
    let mut out = String::new();
    // Writing to a String never fails.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n\
         <rect class=\"page\" x=\".5\" y=\".5\" width=\"{w}\" height=\"{h}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"20\" y=\"32\">{title}</text>\n",
        title = escape(&timeline.title),
        w = WIDTH - 1.0,
        h = height - 1.0,
    );
    legend(&mut out);
    axis(&mut out, &scale, bottom);
    let mut y = TOP;
    for span in &timeline.spans {
        row(&mut out, &scale, span, y);
        y += ROW;
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String) {
    let entries = [("machine", "firmware, boot kernel"), ("ramstrap", "ramstrap"), ("os", "OS")];
    let mut x = WIDTH - 330.0;
    for (class, label) in entries {
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"22\" width=\"10\" height=\"10\" rx=\"2\"/>\
             <text class=\"faint\" x=\"{}\" y=\"31\">{label}</text>",
            x + 16.0
        );
        x += 40.0 + label.len() as f64 * CHARACTER;
    }
}

fn axis(out: &mut String, scale: &Scale, bottom: f64) {
    let mut tick = 0.0;
    while tick <= scale.total {
        let x = scale.x(tick);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"faint time\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick} s</text>",
            TOP - 8.0,
            bottom + 20.0
        );
        tick += scale.step;
    }
}

fn row(out: &mut String, scale: &Scale, span: &Span, y: f64) {
    let x = scale.x(span.start.as_secs_f64());
    let width = (span.duration.as_secs_f64() * scale.pixels).max(LEAST);
    let class = match (span.ok, span.part) {
        (false, _) => "failed",
        (true, Part::Machine) => "machine",
        (true, Part::Ramstrap) => "ramstrap",
        (true, Part::Os) => "os",
    };
    let baseline = y + BAR - 4.5;
    let took = duration(span.duration);
    let _ = write!(
        out,
        "<text x=\"20\" y=\"{baseline}\">{name}</text>\
         <rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"3\">\
         <title>{name}: {took} {summary}</title></rect>",
        name = escape(&span.name),
        summary = escape(&span.summary),
    );
    // The duration stands behind the bar, and the summary behind it where there is room, else in
    // front of the bar.
    let behind = x + width + 8.0;
    let summary_at = behind + (took.len() + 2) as f64 * CHARACTER;
    let _ = write!(out, "<text class=\"time\" x=\"{behind:.1}\" y=\"{baseline}\">{took}</text>");
    let length = span.summary.chars().count() as f64 * CHARACTER;
    if span.summary.is_empty() {
    } else if summary_at + length < WIDTH - 12.0 {
        let summary = escape(&span.summary);
        let _ = write!(
            out,
            "<text class=\"faint\" x=\"{summary_at:.1}\" y=\"{baseline}\">{summary}</text>"
        );
    } else if x - 8.0 - length > LABELS {
        let summary = escape(&span.summary);
        let _ = write!(
            out,
            "<text class=\"faint\" x=\"{:.1}\" y=\"{baseline}\" text-anchor=\"end\">{summary}</text>",
            x - 8.0
        );
    }
    out.push('\n');
}

/// Seconds to pixels.
struct Scale {
    total: f64,
    pixels: f64,
    step: f64,
}

impl Scale {
    fn of(total: Duration) -> Self {
        let total = total.as_secs_f64().max(0.001);
        // Round steps, about ten of them.
        let rough = total / 10.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * power).find(|&it| it >= rough);
        Self { total, pixels: (WIDTH - LABELS - RIGHT) / total, step: step.unwrap_or(power * 10.0) }
    }

    fn x(&self, seconds: f64) -> f64 {
        LABELS + seconds * self.pixels
    }
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.1 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ if character.is_control() => out.push(' '),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Scale;
    use super::escape;
    use crate::timeline::Timeline;
    use crate::timeline::tests::sample;

    #[test]
    fn texts_are_escaped() {
        let svg = sample().to_svg();
        assert!(svg.contains("&lt;12 MB&gt; &amp; more"), "{svg}");
        assert!(svg.contains("a &quot;boot&quot;"), "{svg}");
        assert_eq!(escape("a\u{1b}[0m"), "a [0m");
    }

    #[test]
    fn every_span_has_a_bar() {
        let svg = sample().to_svg();
        assert_eq!(svg.matches("height=\"18\"").count(), 3);
        assert!(svg.contains("class=\"failed\""), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn an_empty_time_line_is_drawn() {
        assert!(Timeline::default().to_svg().contains("0 s"));
    }

    #[test]
    fn steps_are_round() {
        for (seconds, step) in [(1, 0.1), (9, 1.0), (13, 2.0), (40, 5.0), (100, 10.0)] {
            let scale = Scale::of(Duration::from_secs(seconds));
            assert!((scale.step - step).abs() < 1e-9, "{seconds}: {}", scale.step);
        }
    }
}
