"""The shell: everything that touches the world. Builds a graph of components from a configuration and runs it."""
