//! A Tower service that asks one deployment after another until one answers.
