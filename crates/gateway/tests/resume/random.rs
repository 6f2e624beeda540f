//! Two thousand streams that a seed makes up. `BACKSTOP_SEED=7` tries others, `BACKSTOP_SEED=7/120` one alone.

use crate::case::{Case, Leg, STYLES, Seam, VOICES, Voice, breaks};
use crate::run::run;

const CASES: u64 = 2000;
const LONGEST: f64 = 4000.0;

/// Ways to fail before the first token.
const FAULTS: [&str; 8] = [
    "500", "503", "529", "reset", "html", "empty", "cut=0", "error=0",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_and_whoever_goes_on() {
    let wanted = std::env::var("BACKSTOP_SEED").unwrap_or_else(|_| "1".to_owned());
    let (seed, only) = match wanted.split_once('/') {
        Some((seed, case)) => (seed, Some(case.parse().expect("a number behind the seed"))),
        None => (&*wanted, None),
    };
    let seed: u64 = seed.parse().expect("BACKSTOP_SEED is a number");
    println!(
        "repeat it with BACKSTOP_SEED={seed}; one stream, with its number: BACKSTOP_SEED={seed}/120"
    );
    let numbers = match only {
        Some(number) => number..number + 1,
        None => 0..CASES,
    };
    run(numbers.map(|number| Dice::of(seed, number).case(format!("case-{number}")))).await;
}

/// Numbers that look random: SplitMix64.
struct Dice(u64);

impl Dice {
    /// Each case has its own, so that it can be had alone.
    fn of(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed);
        dice.0 = dice.next() ^ number;
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn case(&mut self, name: String) -> Case {
        // Most are short: half of them below 9 tokens, a tenth above 800.
        let part = self.below(1 << 20) as f64 / f64::from(1 << 20);
        let tokens = LONGEST.powf(part * part).round() as usize;
        let style = self.one(&STYLES);
        let usage = self.percent(30);
        let case = match self.below(100) {
            0..15 => self.replayed(name, tokens, style),
            15..60 => Case::new(name, tokens, style, self.one_break(tokens)),
            60..75 => Case::new(name, tokens, style, self.fails_between(tokens)),
            75..90 => self.several(name, tokens, style, 2),
            _ => self.several(name, tokens, style, 3).resuming(3),
        };
        case.with_usage(usage)
    }

    /// Anywhere in an answer, its beginning and its end included.
    fn position(&mut self, tokens: usize) -> usize {
        match self.below(10) {
            0 => 1,
            1 => tokens,
            2 => 1 + self.below(tokens.min(12)),
            _ => 1 + self.below(tokens),
        }
    }

    fn voice(&mut self) -> Voice {
        self.one(&VOICES)
    }

    fn breaks(&mut self, tokens: usize) -> Leg {
        let (voice, how) = (self.voice(), self.one(&breaks()));
        let at = self.position(tokens);
        // Without a first token, a stall would take as long as an answer may.
        let at = if how != "stall" && self.percent(4) {
            0
        } else {
            at
        };
        Leg::Breaks(voice, how, at)
    }

    /// Somebody who goes on, such that the seam can be seen.
    fn rescue(&mut self) -> Leg {
        let voice = self.voice();
        let seam = match self.below(10) {
            _ if voice.prefill => Seam::AsAsked,
            0 => Seam::Echo,
            1 => Seam::Restart,
            2 | 3 => Seam::Overlap(12 + self.below(189)),
            _ => Seam::AsAsked,
        };
        Leg::GoesOn(voice, seam)
    }

    fn one_break(&mut self, tokens: usize) -> Vec<Leg> {
        let mut legs = vec![self.breaks(tokens)];
        let voice = self.voice();
        if voice.prefill || self.percent(50) {
            legs.push(self.rescue());
            return legs;
        }
        let seam = match self.below(4) {
            0 => Seam::NoAnchor,
            1 => Seam::Paraphrase,
            2 => Seam::Overlap(1 + self.below(200)),
            _ => Seam::Overlap(1 + self.below(12)),
        };
        legs.push(Leg::GoesOn(voice, seam));
        if self.percent(40) {
            legs.push(self.rescue());
        }
        legs
    }

    fn fails_between(&mut self, tokens: usize) -> Vec<Leg> {
        let mut legs = vec![self.breaks(tokens)];
        for _ in 0..=self.below(2) {
            let (voice, fault) = (self.voice(), self.one(&FAULTS));
            legs.push(Leg::Fails(voice, fault));
        }
        // Else everything is down.
        if self.percent(70) {
            legs.push(self.rescue());
        }
        legs
    }

    fn several(&mut self, name: String, tokens: usize, style: &'static str, many: usize) -> Case {
        let mut legs: Vec<Leg> = (0..many).map(|_| self.breaks(tokens)).collect();
        legs.push(self.rescue());
        Case::new(name, tokens, style, legs)
    }

    fn replayed(&mut self, name: String, tokens: usize, style: &'static str) -> Case {
        let voice = self.one(&VOICES[..3]);
        let (how, at) = (self.one(&breaks()), self.position(tokens));
        let (deployments, times) = (1 + self.below(3), 1 + self.below(2));
        let leg = Leg::Breaks(voice, how, at);
        Case::replayed(name, tokens, style, leg, deployments, times)
    }
}
