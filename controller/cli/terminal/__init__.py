"""How commands print: tables, trees and the words for what is stored."""
