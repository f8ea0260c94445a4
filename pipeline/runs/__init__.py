"""Where runs happen and what they leave: store, claims, job, cluster, tables, figures. One foreign library a file."""
