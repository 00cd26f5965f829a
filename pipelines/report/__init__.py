"""The report of a run as one HTML page, and the flow of a pipeline as a picture: SVG, text, Mermaid.

flow      the steps of a pipeline and the counted edges between them
layout    positions for steps and edges, drawn by flow.html
outline   the flow as text and Mermaid
letters   dead letters of a run by fingerprint, collected during the run
images    images among the results
recorder  everything in one page, run.html
"""
