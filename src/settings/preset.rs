//! Which preset is asked for, and what it changes for the settings.

use super::pick::Given;
use super::problem::Problem;
use super::spelling;
use super::table::{Fallback, Setting, find, names as n};
use crate::preset::{Preset, Presets};

/// The preset that was asked for.
pub(super) fn chosen(given: Option<Given>, presets: Presets) -> Result<Option<&'static dyn Preset>, Problem> {
    let Some(Given { culprit, text: name }) = given else { return Ok(None) };
    if let Some(preset) = presets.find(&name) {
        return Ok(Some(preset));
    }
    let known: Vec<&str> = presets.names().collect();
    let hint = spelling::hint(&name, known.iter().copied());
    let known = if known.is_empty() { "this build has none".to_owned() } else { format!("known: {}", known.join(", ")) };
    Err(Problem::new(culprit, format!("there is no preset {name:?}{hint} ({known})")))
}

/// The setting of the volume: a preset knows where its own is mounted.
pub(super) fn volume_setting(preset: Option<&'static dyn Preset>) -> Setting {
    let default = preset.map(|preset| Fallback::Value(preset.default_volume()));
    let setting = find(n::VOLUME);
    Setting { default: default.unwrap_or(setting.default), ..*setting }
}
