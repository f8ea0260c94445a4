"""Where runs happen and what they leave: store, claims, job, cluster; rooms for data, tables, saliency, report, bench."""
