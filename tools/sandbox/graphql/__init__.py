"""GraphQL, with the types of the manager that the sandbox stands for."""
