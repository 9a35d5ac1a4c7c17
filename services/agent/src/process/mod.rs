//! Processes: making them, keeping each run's tree together, and ending all of it.
