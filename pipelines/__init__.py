"""Ready pipelines, one file each; what they share is in the folders.

beam_yaml/ the patterns for pipelines in Beam YAML
launch/    options, running, progress and balance of every pipeline
mail/      outboxes: Maildir and SMTP
sales/     rows, totals, charts and page of sales_report
scaffold/  what `beam-patterns new` writes
shipping/  orders and notices of shipping_notifications
signup/    records and texts of new_user_signup
telemetry/ events and sketches of telemetry_rollup
video/     what the video pipelines do with one video
"""
