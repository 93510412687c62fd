//! What is on a machine's screen.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use ramstrap_cli::files;
use serde_json::json;

use super::process::Qemu;

/// Where a VGA adapter in text mode has its characters, each followed by its colours; and how many
/// bytes there are. What has scrolled off the screen is still among them.
const TEXT_MEMORY: u32 = 0xb_8000;
const TEXT_MEMORY_LEN: u32 = 0x8000;

/// Characters in a line.
const COLUMNS: usize = 80;

/// Reads the screen's text, if it is in text mode, and writes a picture of it if `png` says where.
///
/// # Errors
///
/// QEMU is gone or refuses, or the picture cannot be written.
pub(super) fn capture(qemu: &mut Qemu, png: Option<&Path>) -> Result<Option<String>> {
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    if let Some(png) = png {
        let file = scratch.path().join("screen.ppm");
        qemu.ask("screendump", &json!({ "filename": file }))?;
        let picture = fs::read(&file).context("QEMU wrote no picture of the screen")?;
        files::write(png, &to_png(&picture)?, files::PUBLIC, true)?;
    }
    let file = scratch.path().join("text");
    let memory = json!({ "val": TEXT_MEMORY, "size": TEXT_MEMORY_LEN, "filename": file });
    qemu.ask("pmemsave", &memory)?;
    let bytes = fs::read(&file).context("QEMU did not write the screen's text")?;
    Ok(text(&bytes))
}

/// The lines in a VGA adapter's text memory; none if what is there is no text.
fn text(memory: &[u8]) -> Option<String> {
    let characters: Vec<char> = memory
        .chunks_exact(2)
        .filter_map(|cell| cell.first())
        .map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' })
        .collect();
    let lines: Vec<String> = characters
        .chunks(COLUMNS)
        .map(|line| line.iter().collect::<String>().trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A PNG of what QEMU writes: a binary PPM with 256 shades of each colour.
fn to_png(ppm: &[u8]) -> Result<Vec<u8>> {
    let (width, height, pixels) = parse_ppm(ppm).context("QEMU wrote a picture of another kind")?;
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(png)
}

/// Width, height and pixels: `P6`, width, height and 255, each ended by one white space.
fn parse_ppm(ppm: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut fields = ppm.splitn(5, u8::is_ascii_whitespace);
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    if field()? != "P6" {
        return None;
    }
    let (width, height) = (field()?.parse().ok()?, field()?.parse().ok()?);
    if field()? != "255" {
        return None;
    }
    let pixels = fields.next()?;
    let wanted = u64::from(width) * u64::from(height) * 3;
    (pixels.len() as u64 == wanted).then_some((width, height, pixels))
}

#[cfg(test)]
mod tests {
    use super::parse_ppm;
    use super::text;
    use super::to_png;

    #[test]
    fn a_picture_is_read_and_written() {
        let ppm = b"P6\n2 1\n255\n\x01\x02\x03\x20\x0a\x06";
        assert_eq!(parse_ppm(ppm), Some((2, 1, &b"\x01\x02\x03\x20\x0a\x06"[..])));
        let png = to_png(ppm).unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n"));
        for bad in [&ppm[..ppm.len() - 1], b"P5\n2 1\n255\n", b""] {
            assert_eq!(parse_ppm(bad), None);
            to_png(bad).unwrap_err();
        }
    }

    #[test]
    fn text_is_read_line_by_line() {
        let mut memory = vec![0; 0x8000];
        for (at, byte) in b"MINIMAL-OS-UP 1.2 s".iter().enumerate() {
            memory[160 + 2 * at] = *byte;
            memory[161 + 2 * at] = 7;
        }
        memory[640] = b'x';
        assert_eq!(text(&memory).as_deref(), Some("MINIMAL-OS-UP 1.2 s\nx"));
        assert_eq!(text(&[0; 0x8000]), None);
    }
}
