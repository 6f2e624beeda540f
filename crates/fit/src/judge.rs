use backstop_catalog::{Capability, Facts, estimate};
use backstop_core::{Ask, Failure, Ineligible, Needs};

/// Why the model cannot serve the request, if that is known.
pub(crate) fn refusal<R: Ask>(request: &R, facts: &Facts) -> Option<Failure> {
    lacking(request.needs(), facts).or_else(|| too_long(request, facts))
}

fn lacking(needs: Needs, facts: &Facts) -> Option<Failure> {
    use Capability::{AudioIn, AudioOut, JsonSchema, ParallelTools, Pdf, Reasoning, Tools, Vision};
    let tools = needs.tools || needs.tool_history;
    [
        (tools, Tools, "it calls no tools"),
        (
            needs.tools && needs.parallel_tools,
            ParallelTools,
            "it calls one tool at a time",
        ),
        (needs.vision, Vision, "it sees no images"),
        (needs.audio_in, AudioIn, "it hears no audio"),
        (needs.audio_out, AudioOut, "it does not speak"),
        (needs.files, Pdf, "it reads no files"),
        (needs.json_schema, JsonSchema, "it follows no JSON schema"),
        (needs.reasoning, Reasoning, "it does not reason"),
    ]
    .into_iter()
    .find(|(needed, capability, _)| *needed && facts.supports(*capability) == Some(false))
    .map(|(_, _, why)| Failure::ineligible(Ineligible::Capability).with_detail(why))
}

fn too_long<R: Ask>(request: &R, facts: &Facts) -> Option<Failure> {
    let window = facts.window()?;
    let size = request.prompt_size()?;
    let output = if facts.output_apart() {
        0
    } else {
        let asked = request.max_output().unwrap_or(0);
        asked.min(facts.max_output().unwrap_or(u64::MAX))
    };
    let room = window.saturating_sub(output);
    if estimate::bound(&size, facts.family()).is_some_and(|bound| bound <= room) {
        return None;
    }
    let least = estimate::count(request, facts.family())?.least;
    (least > room).then(|| {
        let why = if output == 0 {
            format!("at least {least} tokens in a window of {window}")
        } else {
            format!("at least {least} tokens and {output} of the answer in a window of {window}")
        };
        Failure::ineligible(Ineligible::Window).with_detail(why)
    })
}
