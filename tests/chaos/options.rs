//! The command line of the program for many rounds.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::mutants;

pub(crate) const USAGE: &str = "\
usage: chaos [--seeds FROM..TO] [--seed N] [--jobs N] [--binary PATH] [--mutant NAME] [--self-test]
  --seeds FROM..TO  these rounds, both ends included (1..30)
  --seed N          one round, with everything that happened in it
  --jobs N          so many rounds at a time (three for each processor)
  --binary PATH     another bellwether than the one that was built with this program
  --mutant NAME     with this fault of protocol::mutant in the binary: the rounds have to find it
  --self-test       only ask whether the referee finds what it has to find";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seeds: RangeInclusive<u64>,
    /// Tell everything, though nothing is wrong.
    pub(crate) tells_all: bool,
    pub(crate) jobs: usize,
    pub(crate) binary: PathBuf,
    pub(crate) has_other_binary: bool,
    /// A fault in the binary, which is to be found.
    pub(crate) mutant: Option<String>,
    pub(crate) only_self_test: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_bellwether"));
        let (seeds, jobs) = (1..=30, processors * 3);
        let mut options = Options {
            seeds,
            tells_all: false,
            jobs,
            binary,
            has_other_binary: false,
            mutant: None,
            only_self_test: false,
        };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} wants a value"));
            let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{flag}: {text:?} is no number"));
            match &**flag {
                "--seeds" => {
                    let text = value()?;
                    let (from, to) =
                        text.split_once("..").ok_or_else(|| format!("--seeds: {text:?} is not of the form 1..30"))?;
                    options.seeds = number(from)?..=number(to)?;
                }
                "--seed" => {
                    let seed = number(value()?)?;
                    (options.seeds, options.tells_all) = (seed..=seed, true);
                }
                "--jobs" => options.jobs = usize::try_from(number(value()?)?.max(1)).map_err(|e| e.to_string())?,
                "--binary" => (options.binary, options.has_other_binary) = (PathBuf::from(value()?), true),
                "--mutant" => options.mutant = Some(mutants::known(value()?)?),
                "--self-test" => options.only_self_test = true,
                _ => return Err(format!("unknown argument {flag:?}")),
            }
        }
        // As `/proc/<pid>/exe` has it. One that is not there is told as missing.
        options.binary = options.binary.canonicalize().unwrap_or(options.binary);
        if options.seeds.is_empty() {
            return Err("--seeds: there is none in this range".to_owned());
        }
        Ok(options)
    }
}
