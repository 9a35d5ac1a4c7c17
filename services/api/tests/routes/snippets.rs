//! The snippets of docs/http.md do what the page says.
