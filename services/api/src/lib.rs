//! The REST, WebSocket and SSE interface of Conductor.
