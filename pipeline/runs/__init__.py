"""Where runs happen and what they leave. Store, claims, job, cluster here; data, tables, saliency, report below."""
