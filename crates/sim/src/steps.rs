//! What a body does: the answer, or what a fault makes of it.

use crate::{
    body::Step,
    plan::{Break, Plan, Shape},
    provider::{Api, Frame},
};
use bytes::Bytes;
use std::time::Duration;

/// Bytes that are neither JSON nor UTF-8.
pub(crate) const NOISE: &[u8] = b"\0\xff\xfe}";

/// A body in one piece, or what a fault leaves of it.
pub(crate) fn whole(plan: &Plan, bytes: Bytes) -> (Vec<Step>, Option<u64>) {
    let length = Some(bytes.len() as u64);
    let half = || Step::Send(bytes.slice(..bytes.len() / 2));
    match (plan.shape, plan.breaks) {
        (Some(Shape::Truncated), _) => (vec![half(), Step::Close], length),
        (_, Some((Break::Cut, _))) => (vec![half(), Step::Reset], length),
        (_, Some((Break::Stall, _))) => (vec![half(), Step::Stall(None)], length),
        (_, Some((Break::Eof, _))) => (vec![half()], None),
        (_, Some((Break::Garbage, _))) => {
            let rest = bytes.slice(bytes.len() / 2..);
            let noise = Bytes::from_static(NOISE);
            (vec![half(), Step::Send(noise), Step::Send(rest)], None)
        }
        _ => (vec![Step::Send(bytes)], length),
    }
}

/// A stream's frames with the waits between them, up to where a fault ends them.
pub(crate) fn streamed<A: Api>(plan: &Plan, base: &str, frames: Vec<Frame>) -> Vec<Step> {
    let ping = plan.ping.and_then(|every| Some((every, A::ping()?)));
    let total = frames.iter().filter(|frame| frame.content).count();
    let breaks = match plan.shape {
        // In the middle of the third chunk.
        Some(Shape::Truncated) => Some((None, 2)),
        _ => plan.breaks.map(|(how, after)| (Some(how), after)),
    };
    let breaks = breaks.map(|(how, after)| (how, after.min(total)));

    let mut steps = Vec::with_capacity(frames.len());
    let mut sent = 0;
    for frame in frames {
        let breakable = frame.content || sent == total;
        if let Some((how, _)) = breaks.filter(|(_, after)| breakable && *after == sent) {
            match how {
                None => {
                    let half = frame.bytes.len() / 2;
                    steps.extend([Step::Send(frame.bytes.slice(..half)), Step::Close]);
                }
                Some(Break::Stall) => steps.push(Step::Stall(ping)),
                Some(Break::Cut) => steps.push(Step::Reset),
                Some(Break::Eof) => {}
                Some(Break::Garbage) => steps.push(Step::Send(A::damaged(&frame.bytes))),
                Some(Break::Error) => {
                    steps.extend(
                        A::error_frames(plan.error, base)
                            .into_iter()
                            .map(Step::Send),
                    );
                }
            }
            return dressed(plan, steps);
        }
        if frame.content {
            let pause = if sent == 0 {
                plan.ttft + plan.slow
            } else {
                plan.slow
            };
            wait(&mut steps, pause, ping.as_ref());
            sent += 1;
        }
        steps.push(Step::Send(frame.bytes));
    }
    dressed(plan, steps)
}

fn wait(steps: &mut Vec<Step>, mut pause: Duration, ping: Option<&(Duration, Bytes)>) {
    if let Some((every, bytes)) = ping {
        while pause > *every {
            steps.extend([Step::Wait(*every), Step::Send(bytes.clone())]);
            pause -= *every;
        }
    }
    if !pause.is_zero() {
        steps.push(Step::Wait(pause));
    }
}

/// The first `bytes` of what the steps send, and then a reset.
pub(crate) fn cut_at(steps: Vec<Step>, bytes: usize) -> Vec<Step> {
    let mut left = bytes;
    let mut cut = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Send(piece) if piece.len() >= left => {
                cut.extend([Step::Send(piece.slice(..left)), Step::Reset]);
                return cut;
            }
            Step::Send(piece) => {
                left -= piece.len();
                cut.push(Step::Send(piece));
            }
            other => cut.push(other),
        }
    }
    cut
}

/// The same bytes in an odd form that means the same.
fn dressed(plan: &Plan, mut steps: Vec<Step>) -> Vec<Step> {
    if plan.comments {
        steps = rewritten(steps, |bytes| match is_sse(&bytes) {
            true => vec![Bytes::from_static(b": sim\n\n"), bytes],
            false => vec![bytes],
        });
    }
    if plan.crlf {
        steps = rewritten(steps, |bytes| match std::str::from_utf8(&bytes) {
            Ok(text) if is_sse(&bytes) => vec![text.replace('\n', "\r\n").into()],
            _ => vec![bytes],
        });
    }
    if plan.split {
        // A prime, so that the ends fall inside lines, JSON, frames and characters alike.
        steps = rewritten(steps, |bytes| {
            bytes
                .chunks(7)
                .map(|piece| bytes.slice_ref(piece))
                .collect()
        });
    }
    steps
}

fn is_sse(bytes: &[u8]) -> bool {
    [&b"data:"[..], b"event:", b":"]
        .iter()
        .any(|start| bytes.starts_with(start))
}

fn rewritten(steps: Vec<Step>, rewrite: impl Fn(Bytes) -> Vec<Bytes>) -> Vec<Step> {
    let rewrite = |step| match step {
        Step::Send(bytes) => rewrite(bytes).into_iter().map(Step::Send).collect(),
        other => vec![other],
    };
    steps.into_iter().flat_map(rewrite).collect()
}

#[cfg(test)]
mod tests;
