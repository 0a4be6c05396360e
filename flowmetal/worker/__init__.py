"""The sandboxed process: evaluates flows, streams what they ask for, and holds nothing that is worth stealing."""
