//! Targets that feed readers of untrusted bytes. In a usual test run a target reads its corpus, and for a moment inputs
//! made from it at random; built by `scripts/fuzz-parsers.sh` it is libFuzzer that makes them, led by the code's
//! coverage.

#[cfg(not(fuzzing_libfuzzer))]
use rand::RngExt;
#[cfg(not(fuzzing_libfuzzer))]
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Of each target in a usual test run.
#[cfg(not(fuzzing_libfuzzer))]
const MOMENT: Duration = Duration::from_millis(100);
/// Longest input that is made at random; those of a corpus may be longer.
#[cfg(not(fuzzing_libfuzzer))]
const MAX_MADE: usize = 4096;

/// Runs `test` on many inputs. The corpus is the folder `fuzz/{name}` of the crate at `manifest`; each of its files is
/// one input, and there is at least one.
#[cfg(not(fuzzing_libfuzzer))]
pub fn target(manifest: &str, name: &str, test: impl Fn(&[u8])) {
    let folder = Path::new(manifest).join("fuzz").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().filter_map(|file| fs::read(file).ok()).collect();
    assert!(!corpus.is_empty() && corpus.len() == files.len(), "{} cannot be read", folder.display());
    let tried = |input: &[u8], from: &str| {
        let told = Told(input, from);
        test(input);
        std::mem::forget(told);
    };
    for (file, input) in files.iter().zip(&corpus) {
        tried(input, &file.display().to_string());
    }
    let began = Instant::now();
    while began.elapsed() < MOMENT {
        tried(&changed(&corpus), "made at random; to keep it, make it a file of the corpus");
    }
}

/// The same under libFuzzer, which is told by the script where the corpus is, and does not return.
#[cfg(fuzzing_libfuzzer)]
pub fn target(_: &str, _: &str, test: impl Fn(&[u8])) {
    // A test that panics is the last one.
    let test = std::panic::AssertUnwindSafe(test);
    bolero::check!().for_each(|input: &[u8]| {
        let test = &test;
        test(input);
    });
}

/// Tells the input on which a test fails.
#[cfg(not(fuzzing_libfuzzer))]
struct Told<'a>(&'a [u8], &'a str);

#[cfg(not(fuzzing_libfuzzer))]
impl Drop for Told<'_> {
    #[expect(clippy::print_stderr, reason = "tests")]
    fn drop(&mut self) {
        eprintln!("the input ({}): b\"{}\"", self.1, self.0.escape_ascii());
    }
}

/// Some input of the corpus, changed in a few places.
#[cfg(not(fuzzing_libfuzzer))]
fn changed(corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut rng = rand::rng();
    let any = |rng: &mut rand::rngs::ThreadRng| corpus[rng.random_range(0..corpus.len())].clone();
    let mut input = any(&mut rng);
    for _ in 0..rng.random_range(1..6) {
        let from = rng.random_range(0..=input.len());
        let to = rng.random_range(from..=input.len().min(from + 16));
        match rng.random_range(0..6) {
            0 => drop(input.drain(from..to)),
            1 => input.truncate(from),
            2 => input.insert(from, rng.random()),
            3 if from < to => input[from] ^= 1 << rng.random_range(0..8),
            4 => input.splice(from..from, input[from..to].to_vec()).for_each(drop),
            _ => {
                let other = any(&mut rng);
                let begin = rng.random_range(0..=other.len());
                let end = rng.random_range(begin..=other.len().min(begin + 64));
                input.splice(from..to, other[begin..end].iter().copied()).for_each(drop);
            }
        }
    }
    input.truncate(MAX_MADE);
    input
}

/// An input's parts: lines, and the last one all that is left.
pub fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut pieces = input.splitn(N, |&b| b == b'\n');
    std::array::from_fn(|_| pieces.next().unwrap_or_default())
}

/// [`parts`] that are texts; `None` where one is not.
pub fn texts<const N: usize>(input: &[u8]) -> Option<[&str; N]> {
    let texts = parts::<N>(input).map(|part| std::str::from_utf8(part).ok());
    texts.iter().all(Option::is_some).then(|| texts.map(Option::unwrap_or_default))
}
