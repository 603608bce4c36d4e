"""Tests that need a process of their own: exits, main modules, imports, output."""
