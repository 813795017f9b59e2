//! A QR code as the path of an SVG: one square a dark module, four light ones around.

use qrcode::{Color, EcLevel, QrCode};
use service_kit::{Error, Result};
use std::fmt::Write;

/// Light modules around the code, as the standard has it.
const QUIET: usize = 4;

pub struct Drawing {
    /// Modules a side, with the quiet ones.
    pub side: usize,
    pub path: String,
}

pub fn draw(content: &str) -> Result<Drawing> {
    let code = QrCode::with_error_correction_level(content, EcLevel::M).map_err(Error::internal)?;
    let width = code.width();
    let colors = code.into_colors();
    let mut path = String::new();
    for (row, modules) in colors.chunks(width.max(1)).enumerate() {
        let mut column = 0;
        // Runs of dark modules, so that no seams show between them.
        while column < modules.len() {
            let run = modules.iter().skip(column).take_while(|c| **c == Color::Dark).count();
            if run > 0 {
                write!(path, "M{} {}h{run}v1h-{run}z", column + QUIET, row + QUIET).map_err(Error::internal)?;
            }
            column += run.max(1);
        }
    }
    Ok(Drawing { side: width + 2 * QUIET, path })
}
