"""The pages that people see: their style and JavaScript modules, shared by the Playground and the result app."""
