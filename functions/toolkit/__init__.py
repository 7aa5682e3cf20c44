"""What recipes are written with: checks, generations, fields, GraphQL, pages, and how answers are read."""
