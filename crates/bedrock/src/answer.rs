//! Converse's answers in OpenAI's format.

use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::types as aws;
use backstop_chat::emit::{Document, Writer};
use backstop_chat::{Chunk, Finish, ProviderError};
use backstop_core::{Failure, FailureKind, Usage};

use crate::{PROVIDER, document};

/// What both kinds of answer are headed with.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) created: u64,
}

/// An answer that is not streamed.
pub(crate) fn whole(head: &Head, output: &ConverseOutput) -> Result<Chunk, ProviderError> {
    let Some(aws::ConverseOutput::Message(message)) = &output.output else {
        return Err(ProviderError::malformed(
            PROVIDER,
            "an answer without a message",
        ));
    };
    let mut text = String::new();
    let mut reasoning = String::new();
    let mut tool_calls = Vec::new();
    for block in &message.content {
        match block {
            aws::ContentBlock::Text(part) => text.push_str(part),
            aws::ContentBlock::CitationsContent(cited) => {
                for part in cited.content() {
                    if let aws::CitationGeneratedContent::Text(part) = part {
                        text.push_str(part);
                    }
                }
            }
            aws::ContentBlock::ReasoningContent(aws::ReasoningContentBlock::ReasoningText(
                part,
            )) => {
                reasoning.push_str(&part.text);
            }
            aws::ContentBlock::ToolUse(call) => tool_calls.push((
                call.tool_use_id.clone(),
                call.name.clone(),
                document::to_json(&call.input),
            )),
            _ => {}
        }
    }
    let empty = text.is_empty() && reasoning.is_empty() && tool_calls.is_empty();
    let answer = Document {
        id: &head.id,
        model: &head.model,
        created: head.created,
        text: (!text.is_empty() || tool_calls.is_empty()).then_some(&*text),
        reasoning: (!reasoning.is_empty()).then_some(&*reasoning),
        tool_calls: &tool_calls,
        finish: finish(&output.stop_reason, empty)?,
        usage: output.usage.as_ref().map(usage),
    };
    Ok(answer.into_chunk())
}

/// Reads the events of one streamed answer.
#[derive(Debug)]
pub(crate) struct Reader {
    writer: Writer,
    calls: Vec<Call>,
    empty: bool,
    complete: bool,
    over: bool,
}

/// A tool call, by its place among them.
#[derive(Debug)]
struct Call {
    block: i32,
    /// Whether no arguments have come.
    bare: bool,
}

impl Reader {
    pub(crate) fn new(head: &Head, include_usage: bool) -> Self {
        Self {
            writer: Writer::new(&head.id, &head.model, head.created, include_usage),
            calls: Vec::new(),
            empty: true,
            complete: false,
            over: false,
        }
    }

    /// Whether the answer is proven complete; only its usage may follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether nothing follows.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn read(
        &mut self,
        event: &aws::ConverseStreamOutput,
    ) -> Result<Option<Chunk>, ProviderError> {
        Ok(match event {
            aws::ConverseStreamOutput::MessageStart(_) => Some(self.writer.role()),
            aws::ConverseStreamOutput::ContentBlockStart(start) => match &start.start {
                Some(aws::ContentBlockStart::ToolUse(tool)) => {
                    self.empty = false;
                    self.calls.push(Call {
                        block: start.content_block_index,
                        bare: true,
                    });
                    let index = place(self.calls.len() - 1);
                    Some(self.writer.tool_call(index, &tool.tool_use_id, &tool.name))
                }
                _ => None,
            },
            aws::ConverseStreamOutput::ContentBlockDelta(delta) => match &delta.delta {
                Some(content) => self.delta(delta.content_block_index, content)?,
                None => None,
            },
            aws::ConverseStreamOutput::ContentBlockStop(stop) => {
                match self.call(stop.content_block_index) {
                    // A call without arguments may come without a delta; its arguments are JSON all the same.
                    Some((index, call)) if call.bare => {
                        call.bare = false;
                        Some(self.writer.tool_arguments(index, "{}"))
                    }
                    _ => None,
                }
            }
            aws::ConverseStreamOutput::MessageStop(stop) => {
                let finish = finish(&stop.stop_reason, self.empty)?;
                self.complete = true;
                Some(self.writer.finish(finish, true))
            }
            aws::ConverseStreamOutput::Metadata(metadata) => {
                self.over = self.complete;
                metadata
                    .usage
                    .as_ref()
                    .map(|it| self.writer.usage(usage(it)))
            }
            // Events to come, which the SDK does not know yet.
            _ => None,
        })
    }

    fn delta(
        &mut self,
        block: i32,
        delta: &aws::ContentBlockDelta,
    ) -> Result<Option<Chunk>, ProviderError> {
        Ok(match delta {
            aws::ContentBlockDelta::Text(text) if !text.is_empty() => {
                self.empty = false;
                Some(self.writer.text(text))
            }
            aws::ContentBlockDelta::ReasoningContent(aws::ReasoningContentBlockDelta::Text(
                text,
            )) if !text.is_empty() => {
                self.empty = false;
                Some(self.writer.reasoning(text))
            }
            aws::ContentBlockDelta::ToolUse(tool) if !tool.input.is_empty() => {
                let Some((index, call)) = self.call(block) else {
                    let what = "arguments of a tool call that has not begun";
                    return Err(ProviderError::malformed(PROVIDER, what));
                };
                call.bare = false;
                Some(self.writer.tool_arguments(index, &tool.input))
            }
            // Signatures and redacted reasoning mean something to their model only; citations, images and
            // empty deltas have no place in OpenAI's format.
            _ => None,
        })
    }

    fn call(&mut self, block: i32) -> Option<(u32, &mut Call)> {
        let (index, call) = self
            .calls
            .iter_mut()
            .enumerate()
            .find(|(_, call)| call.block == block)?;
        Some((place(index), call))
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Why the answer ends. `empty` says that it has no content.
fn finish(reason: &aws::StopReason, empty: bool) -> Result<Finish, ProviderError> {
    Ok(match reason {
        aws::StopReason::EndTurn | aws::StopReason::StopSequence => Finish::Stop,
        aws::StopReason::ToolUse => Finish::ToolCalls,
        aws::StopReason::ModelContextWindowExceeded if empty => {
            return Err(ProviderError::new(
                PROVIDER,
                Failure::new(FailureKind::ContextWindow),
            ));
        }
        aws::StopReason::MaxTokens | aws::StopReason::ModelContextWindowExceeded => Finish::Length,
        aws::StopReason::GuardrailIntervened | aws::StopReason::ContentFiltered => {
            Finish::ContentFilter
        }
        aws::StopReason::MalformedModelOutput | aws::StopReason::MalformedToolUse => {
            return Err(ProviderError::malformed(
                PROVIDER,
                "the model's own output was malformed",
            ));
        }
        // Claude's, which Converse's own list does not have.
        other if other.as_str() == "refusal" => Finish::ContentFilter,
        _ => Finish::Other,
    })
}

/// Converse counts what its cache served or took apart from the input.
fn usage(usage: &aws::TokenUsage) -> Usage {
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or(0);
    let cached = usage.cache_read_input_tokens.map_or(0, count);
    let cache_write = usage.cache_write_input_tokens.map_or(0, count);
    let input = count(usage.input_tokens) + cached + cache_write;
    let mut reported = Usage::reported(input, count(usage.output_tokens));
    reported.cached = cached;
    reported.cache_write = cache_write;
    let by_time = usage.cache_details().iter();
    let hour: u64 = by_time
        .filter(|detail| *detail.ttl() == aws::CacheTtl::OneHour)
        .map(|detail| count(detail.input_tokens()))
        .sum();
    reported.cache_write_1h = hour.min(cache_write);
    reported
}
