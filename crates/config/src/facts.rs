//! What is known of each deployment's model: the catalogue, what `model_info` says over it, and what a call costs.

use std::path::Path;
use std::sync::Arc;

use backstop::budget;
use backstop::catalog::{Capability, Catalog, Facts, Price, Rates, estimate};
use backstop::core::{Ask, NanoUsd, Usage};

use crate::error::{ConfigError, Place};
use crate::read::Section;

/// LiteLLM's names for what a model can do.
const CAPABILITIES: [(&str, Capability); 8] = [
    ("supports_function_calling", Capability::Tools),
    (
        "supports_parallel_function_calling",
        Capability::ParallelTools,
    ),
    ("supports_vision", Capability::Vision),
    ("supports_response_schema", Capability::JsonSchema),
    ("supports_reasoning", Capability::Reasoning),
    ("supports_audio_input", Capability::AudioIn),
    ("supports_audio_output", Capability::AudioOut),
    ("supports_pdf_input", Capability::Pdf),
];

/// The catalogue in force.
pub(crate) enum Known {
    Shipped,
    Own(Box<Catalog>),
}

impl Known {
    /// Reads `catalog`: a file over the catalogue that is built in.
    pub(crate) fn read(top: &mut Section<'_>) -> Result<Self, ConfigError> {
        let environment = top.environment();
        let Some(mut section) = top.section("catalog")? else {
            return Ok(Self::Shipped);
        };
        let place = section.place();
        let file = section.text("file")?;
        section.finish()?;
        let Some((path, place)) = file else {
            return Err(ConfigError::at(place, "`file` is missing in `catalog`"));
        };
        let text = environment
            .watched(Path::new(&path))
            .map_err(|message| ConfigError::at(place, message))?;
        let mut catalog = Catalog::shipped().clone();
        catalog
            .read(&path, &text)
            .map_err(|error| ConfigError::at(place, error.to_string()))?;
        Ok(Self::Own(Box::new(catalog)))
    }

    fn catalog(&self) -> &Catalog {
        match self {
            Self::Shipped => Catalog::shipped(),
            Self::Own(catalog) => catalog,
        }
    }

    pub(crate) fn remarks(&self) -> Vec<String> {
        self.catalog().remarks().to_vec()
    }

    /// The providers that list a model of this very name.
    pub(crate) fn providers(&self, model: &str) -> Vec<&str> {
        self.catalog().providers(model)
    }

    pub(crate) fn find(&self, provider: &str, model: &str) -> Facts {
        self.catalog().find(provider, model).unwrap_or_else(|| {
            let family = backstop::catalog::Family::of(provider, model);
            Facts::new().with_family(family)
        })
    }
}

/// What an entry of `model_list` says itself. LiteLLM takes prices from either of its sections.
#[derive(Default)]
pub(crate) struct Said {
    window: Option<u64>,
    max_output: Option<u64>,
    input: Option<(NanoUsd, Place)>,
    output: Option<(NanoUsd, Place)>,
    cached: Option<(NanoUsd, Place)>,
    cache_write: Option<(NanoUsd, Place)>,
    cache_write_1h: Option<(NanoUsd, Place)>,
    able: Vec<(Capability, bool)>,
}

impl Said {
    /// Takes what `litellm_params` and `model_info` have in common.
    pub(crate) fn prices(&mut self, section: &mut Section<'_>) -> Result<(), ConfigError> {
        let mut rate = |key| {
            let Some((written, place)) = section.decimal(key)? else {
                return Ok(None);
            };
            match Rates::per_token(&written) {
                Some(rate) => Ok(Some((rate, place))),
                None => Err(ConfigError::at(
                    place,
                    format!("`{key}` must be an amount of dollars, such as 0.0000025 or 2.5e-06"),
                )),
            }
        };
        let input = rate("input_cost_per_token")?;
        let output = rate("output_cost_per_token")?;
        let cached = rate("cache_read_input_token_cost")?;
        let cache_write = rate("cache_creation_input_token_cost")?;
        let hour = rate("cache_creation_input_token_cost_above_1hr")?;
        self.input = input.or(self.input);
        self.output = output.or(self.output);
        self.cached = cached.or(self.cached);
        self.cache_write = cache_write.or(self.cache_write);
        self.cache_write_1h = hour.or(self.cache_write_1h);
        Ok(())
    }

    /// Takes what only `model_info` has.
    pub(crate) fn info(&mut self, info: &mut Section<'_>) -> Result<(), ConfigError> {
        self.prices(info)?;
        self.window = info.tokens("max_input_tokens")?;
        self.max_output = info.tokens("max_output_tokens")?;
        for (key, capability) in CAPABILITIES {
            if let Some(able) = info.flag(key)? {
                self.able.push((capability, able));
            }
        }
        Ok(())
    }

    pub(crate) fn over(self, mut facts: Facts) -> Result<Facts, ConfigError> {
        match (self.input, self.output) {
            (Some((input, _)), Some((output, _))) => {
                let mut rates = Rates::new(input, output);
                if let Some((rate, _)) = self.cached {
                    rates = rates.with_cached(rate);
                }
                if let Some((rate, _)) = self.cache_write {
                    rates = rates.with_cache_write(rate);
                }
                if let Some((rate, _)) = self.cache_write_1h {
                    rates = rates.with_cache_write_1h(rate);
                }
                facts = facts.with_price(Price::new(rates));
            }
            (None, None) => {
                let cache = self.cached.or(self.cache_write).or(self.cache_write_1h);
                if let Some((_, place)) = cache {
                    let message = "a price of the cache goes with those of plain tokens";
                    let help = "say `input_cost_per_token` and `output_cost_per_token`, too";
                    return Err(ConfigError::at(place, message).help(help));
                }
            }
            (Some((_, place)), None) | (None, Some((_, place))) => {
                let message = "`input_cost_per_token` and `output_cost_per_token` go together";
                return Err(ConfigError::at(place, message).help("a price that is free is 0"));
            }
        }
        if let Some(window) = self.window {
            facts = facts.with_window(window);
        }
        if let Some(output) = self.max_output {
            facts = facts.with_max_output(output);
        }
        for (capability, able) in self.able {
            facts = facts.with_support(capability, able);
        }
        Ok(facts)
    }
}

/// What calls to one deployment cost, by what is known of its model.
#[derive(Clone, Debug)]
pub(crate) struct ModelPrice(pub(crate) Arc<Facts>);

impl<R: Ask> budget::Price<R> for ModelPrice {
    fn cost(&self, usage: &Usage) -> Option<NanoUsd> {
        self.0.price().map(|price| price.cost(usage))
    }

    fn most(&self, input: u64, output: u64) -> Option<NanoUsd> {
        self.0.price().map(|price| price.bound(input, output))
    }

    fn most_input(&self, request: &R) -> Option<u64> {
        let bound = estimate::bound(&request.prompt_size()?, self.0.family());
        // Of files nobody knows the size, but what is answered has fitted.
        bound.or(self.0.window())
    }

    fn closer_input(&self, request: &R) -> Option<u64> {
        estimate::count(request, self.0.family())?.most
    }

    fn likely_input(&self, request: &R) -> Option<u64> {
        // English has about four bytes to a token, most languages and code fewer.
        const BYTES_PER_TOKEN: u64 = 3;
        let mut size = request.prompt_size()?;
        size.text = size.text.div_ceil(BYTES_PER_TOKEN);
        size.schemas = size.schemas.div_ceil(BYTES_PER_TOKEN);
        estimate::bound(&size, self.0.family()).or(self.0.window())
    }

    fn max_output(&self) -> Option<u64> {
        self.0.max_output()
    }
}
