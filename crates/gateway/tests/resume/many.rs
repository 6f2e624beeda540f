//! Every combination of what a short stream may meet.

use crate::case::{Case, Leg, STYLES, Seam, VOICES, breaks};
use crate::run::run;

const TOKENS: usize = 24;

const SEAMS: [Seam; 8] = [
    Seam::AsAsked,
    Seam::Echo,
    Seam::Restart,
    Seam::Overlap(12),
    Seam::Overlap(40),
    Seam::Overlap(200),
    Seam::NoAnchor,
    Seam::Paraphrase,
];

/// Each position is tried in a long run (`BACKSTOP_LONG`), else one, which differs from case to case.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_break_at_each_provider_before_each_other() {
    let long = std::env::var_os("BACKSTOP_LONG").is_some();
    let mut cases = Vec::new();
    for first in &VOICES[..3] {
        for how in breaks() {
            for second in &VOICES {
                for style in STYLES {
                    let mut combine = |leg: &dyn Fn(usize) -> Leg, seam: &str| {
                        let turn = cases.len();
                        let positions = if long {
                            1..=TOKENS
                        } else {
                            let at = 1 + turn * 7 % TOKENS;
                            at..=at
                        };
                        for at in positions {
                            let legs = vec![Leg::Breaks(*first, how, at), leg(at)];
                            let name = format!("many-{}{seam}", cases.len());
                            cases.push(Case::new(name, TOKENS, style, legs));
                        }
                    };
                    combine(&|_| Leg::GoesOn(*second, Seam::AsAsked), "");
                    if second.prefill || !long {
                        continue;
                    }
                    for seam in &SEAMS[1..] {
                        combine(&|_| Leg::GoesOn(*second, *seam), "-seam");
                    }
                }
            }
        }
    }
    run(cases).await;
}

/// The text ends with `x + 1`, and its rest is ` 12`: that may be said again, or new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_that_begins_as_the_text_ends() {
    let mut cases = Vec::new();
    for first in &VOICES[..3] {
        for second in VOICES.iter().filter(|voice| !voice.prefill) {
            for how in breaks() {
                let legs = vec![
                    Leg::Breaks(*first, how, 23),
                    Leg::GoesOn(*second, Seam::NoAnchor),
                ];
                let name = format!("begins-{}", cases.len());
                cases.push(Case::new(name, TOKENS, "code", legs));
            }
        }
    }
    run(cases).await;
}
