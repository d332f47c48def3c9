"""Recipes: each file writes an ordinary project folder, data included."""

from __future__ import annotations

from tunesmith.core.shelf import Shelf

RECIPES = Shelf("recipes", "tunesmith.project.recipes")
