"""A run as one page, and a pipeline as a picture: SVG, text, Mermaid.

flow     the steps of a pipeline and what goes from one to another, counted
layout   places for steps and ways for edges
picture  the flow as SVG
outline  the flow as text and Mermaid
letters  dead letters of a run by fingerprint, gathered while it goes on
page     everything in one HTML file
"""
