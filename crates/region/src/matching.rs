use std::sync::Arc;

use crate::{Labels, Regions};

/// Which requests a rule is for.
///
/// A rule applies to a request when no known attribute contradicts it and at least one matches; an attribute of which
/// nothing is known keeps no rule out. So `data_class: phi, user_region: us` holds for every user in the US whose data
/// nobody has classified. Within one attribute any of the values will do.
///
/// A name may end in `*`, for any rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Match {
    model: Option<Names>,
    key: Option<Names>,
    team: Option<Names>,
    tag: Option<Names>,
    user_region: Option<Regions>,
    data_class: Option<Names>,
    by_name: bool,
}

/// Names, some of which end in `*`.
pub(crate) type Names = Box<[Box<str>]>;

/// What an attribute says about a rule.
#[derive(PartialEq)]
enum Says {
    Yes,
    No,
    Nothing,
}

impl Match {
    /// Every request, until an attribute is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// No request but those for which the rule is named.
    pub fn by_name() -> Self {
        Self {
            by_name: true,
            ..Self::default()
        }
    }

    /// Sets the models, as callers name them.
    pub fn model<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.model = Some(collect(names));
        self
    }

    /// Sets the ids of keys.
    pub fn key<N: AsRef<str>>(mut self, ids: impl IntoIterator<Item = N>) -> Self {
        self.key = Some(collect(ids));
        self
    }

    /// Sets the teams.
    pub fn team<N: AsRef<str>>(mut self, teams: impl IntoIterator<Item = N>) -> Self {
        self.team = Some(collect(teams));
        self
    }

    /// Sets the tags.
    pub fn tag<N: AsRef<str>>(mut self, tags: impl IntoIterator<Item = N>) -> Self {
        self.tag = Some(collect(tags));
        self
    }

    /// Sets where users are. A user who may be there counts.
    pub const fn user_region(mut self, regions: Regions) -> Self {
        self.user_region = Some(regions);
        self
    }

    /// Sets the classes of data. Case does not matter.
    pub fn data_class<N: AsRef<str>>(mut self, classes: impl IntoIterator<Item = N>) -> Self {
        let classes = classes.into_iter();
        self.data_class = Some(collect(classes.map(|class| class.as_ref().to_lowercase())));
        self
    }

    pub(crate) const fn reads_classes(&self) -> bool {
        self.data_class.is_some()
    }

    pub(crate) fn applies(&self, model: &str, labels: &Labels) -> bool {
        if self.by_name {
            return false;
        }
        let model = match &self.model {
            Some(names) if any(names, [model]) => Says::Yes,
            Some(_) => Says::No,
            None => Says::Nothing,
        };
        let says = [model].into_iter().chain(self.labels_say(labels));
        let mut matches = self.is_for_everyone();
        for says in says {
            match says {
                Says::Yes => matches = true,
                Says::No => return false,
                Says::Nothing => {}
            }
        }
        matches
    }

    /// Whether something is known of an attribute, other than the model, that it matches on.
    pub(crate) fn knows(&self, labels: &Labels) -> bool {
        let Labels {
            key,
            team,
            tags,
            user_region,
            classes,
            ..
        } = labels;
        (self.key.is_some() && key.is_some())
            || (self.team.is_some() && team.is_some())
            || (self.tag.is_some() && tags.is_some())
            || (self.user_region.is_some() && user_region.is_some())
            || (self.data_class.is_some() && classes.is_some())
    }

    fn is_for_everyone(&self) -> bool {
        *self == Self::default()
    }

    fn labels_say(&self, labels: &Labels) -> [Says; 5] {
        let one = |names: &Option<Names>, known: &Option<Arc<str>>| {
            say(
                names.as_ref(),
                known.as_ref().map(std::slice::from_ref),
                &[],
            )
        };
        let region = match (&self.user_region, &labels.user_region) {
            (None, _) => Says::Nothing,
            (Some(regions), known) => {
                let claimed = &labels.claimed_region;
                let mut places = known.iter().chain(claimed);
                match known {
                    _ if places.any(|place| place.overlaps(regions)) => Says::Yes,
                    Some(_) => Says::No,
                    None => Says::Nothing,
                }
            }
        };
        [
            one(&self.key, &labels.key),
            one(&self.team, &labels.team),
            say(self.tag.as_ref(), labels.tags.as_deref(), &[]),
            say(
                self.data_class.as_ref(),
                labels.classes.as_deref(),
                &labels.claimed_classes,
            ),
            region,
        ]
    }
}

/// What is known can contradict, what is claimed cannot.
fn say(names: Option<&Names>, known: Option<&[Arc<str>]>, claimed: &[Arc<str>]) -> Says {
    let Some(names) = names else {
        return Says::Nothing;
    };
    let values = known.unwrap_or_default().iter().chain(claimed);
    if any(names, values.map(|value| &**value)) {
        Says::Yes
    } else if known.is_some() {
        Says::No
    } else {
        Says::Nothing
    }
}

pub(crate) fn any<'a>(names: &Names, values: impl IntoIterator<Item = &'a str>) -> bool {
    values
        .into_iter()
        .any(|value| names.iter().any(|name| fits(name, value)))
}

/// Whether `value` is this name, which may end in `*`.
pub(crate) fn fits(name: &str, value: &str) -> bool {
    match name.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => value == name,
    }
}

pub(crate) fn collect<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Names {
    names.into_iter().map(|name| name.as_ref().into()).collect()
}
