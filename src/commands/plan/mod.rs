//! `plan`: what `run` would do now, and why. Reads only. Redis is asked who has the lease if the answer depends on
//! it, for a second at the longest.

mod forecast;
mod text;
mod verdict;

use super::brief::{self, Refusal};
use super::print;
use super::report::Report;
use crate::exit::Exit;
use crate::preset::Presets;
use crate::protocol::Config;
use crate::settings::{CommandLine, PLAN_SCHEMA, Settings};

/// Shows the forecast, or the schema of plan files.
pub(super) fn plan(line: &CommandLine, presets: Presets) -> Exit {
    if line.has("schema") {
        print(PLAN_SCHEMA);
        return Exit::Ok;
    }
    let settings = match brief::settings(&line.overlay, presets) {
        Ok((settings, notices)) => {
            for notice in notices {
                super::complain(&notice.to_string());
            }
            settings
        }
        Err(problems) => return super::decline(&Refusal::of_problems(&problems)),
    };
    match forecast(&settings) {
        Ok(forecast) if line.has("json") => {
            print(&serde_json::to_string_pretty(&forecast).unwrap_or_default());
            Exit::Ok
        }
        Ok(forecast) => {
            print(&text::render(&forecast));
            Exit::Ok
        }
        Err(refusal) => super::decline(&refusal),
    }
}

fn forecast(settings: &Settings) -> Result<forecast::Forecast, Refusal> {
    let volume = brief::volume(settings);
    let finding = brief::trust(settings, &volume)?;
    let report = Report::read(&volume, settings.stale, &settings.mask, true);
    let report = report.map_err(|error| Refusal::of_volume(&error))?;
    let config = brief::config(settings, &volume, finding.trust);
    let refusal = config.as_ref().err().map(|error| brief::explain(error, settings, &finding));
    let election = forecast::Election::of(settings, &finding, config.ok().as_ref().map(Config::election));
    Ok(forecast::Forecast::of(settings, election, refusal, &report, &volume))
}
